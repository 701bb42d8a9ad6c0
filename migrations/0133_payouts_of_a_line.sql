-- Whoever waits for money to come back to the card is answered by line, and a house has far more payouts to merchants.
create index payout_of_line on payout (line_id) where line_id is not null;
