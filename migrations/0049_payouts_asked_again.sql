-- What is booked as paid is asked about again on the days after: a bank may send money back, and the call that tells of it may be lost.
-- `query_at` says when next; it is null once that was often enough.
create index payout_to_ask_again on payout (query_at) where status = 'succeeded' and query_at is not null;
