-- Double entry, append-only.

-- One posting per business event. Its legs stand in parallel arrays: leg k moves amount_fen[k] from account credit[k] to
-- account debit[k] of the same book, so that a posting cannot fail to sum to zero. Accounts 1xx are the clearing book's,
-- 2xx the funder's (see src/ledger/account.rs); `funder_id` says whose.
create table posting (
    posting_id uuid not null,
    -- The borrower's line, or the zero id for house postings (settlement, remittance, interest), so that it can key.
    line_id uuid not null,
    funder_id uuid not null,
    event text not null,
    source_id uuid not null,
    debit smallint[] not null,
    credit smallint[] not null,
    amount_fen bigint[] not null,
    -- The posting that this one corrects.
    corrects uuid,
    business_day date not null,
    posted_at timestamptz not null,
    primary key (posting_id, line_id)
);
create index posting_by_day on posting using brin (business_day) with (pages_per_range = 8, autosummarize = on);
create trigger posting_append_only before update or delete on posting for each row execute function refuse_change();

-- Sums of a closed day by account, written by the trial balance.
create table ledger_day (
    business_day date not null,
    funder_id uuid not null,
    account smallint not null,
    debit_fen bigint not null,
    credit_fen bigint not null,
    primary key (business_day, funder_id, account)
);

-- Interest that runs between two dates, summed over all loans of a product that share them. Each day the accrued part is
-- brought to amount × days elapsed ÷ days in all, by one posting per funder and product: the work does not grow with the book.
create table interest_span (
    funder_id uuid not null,
    product_id uuid not null,
    charge text not null check (charge in ('interest', 'fee')),
    from_on date not null,
    to_on date not null,
    amount_fen bigint not null,
    accrued_fen bigint not null default 0,
    primary key (funder_id, product_id, charge, from_on, to_on),
    check (to_on > from_on)
);
create index interest_span_open on interest_span (to_on) where accrued_fen <> amount_fen;
