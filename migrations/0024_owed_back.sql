-- What is owed back to one borrower and not paid yet, for whoever wants to close the account.
create index payout_owed_back on payout (beneficiary_id) where kind = 'borrower' and status <> 'succeeded';
