-- A product may return billed interest with a refund: what was not paid of it falls, what was paid goes back to the card beside the
-- principal that is owed back. It is the funder's: its next remittance is less by it.
alter table refund
    add column interest_back_fen bigint not null default 0 check (interest_back_fen >= 0),
    add column fee_back_fen bigint not null default 0 check (fee_back_fen >= 0);

-- What refunds gave back to the card of what was paid on the installment. It stays paid: the paid columns say what repayments
-- allocated. Not bounded by them, since a payment can turn out not to have come after it was given back; then it is owed again.
alter table bill_line
    add column principal_back_fen bigint not null default 0 check (principal_back_fen >= 0),
    add column interest_back_fen bigint not null default 0 check (interest_back_fen >= 0),
    add column fee_back_fen bigint not null default 0 check (fee_back_fen >= 0);
