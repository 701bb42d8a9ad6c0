-- Purchases, the loans that they create, and refunds.
-- The hot tables carry no foreign keys: a key-share lock on the merchant or product of every purchase would queue
-- the whole house behind one row. `fenqi verify` checks the references instead.

create table purchase (
    purchase_id uuid not null,
    line_id uuid not null,
    idempotency_key text not null,
    -- SHA-256 of what was asked, so that the same key with another body is refused.
    request_sha256 bytea not null,
    merchant_id uuid not null,
    code_id uuid,
    product_id uuid not null,
    product_version int not null,
    periods smallint not null,
    amount_fen bigint not null,
    status text not null check (status in ('authorised', 'refused', 'voided')),
    refusal text,
    loan_id uuid,
    -- The merchant's charges, rounded once per purchase, taken at clearing.
    discount_fee_fen bigint not null default 0,
    subsidy_fen bigint not null default 0,
    refunded_fen bigint not null default 0 check (refunded_fen >= 0 and refunded_fen <= amount_fen),
    business_day date not null,
    created_at timestamptz not null,
    primary key (purchase_id, line_id),
    unique (line_id, idempotency_key),
    check ((status = 'refused') = (refusal is not null)),
    check ((status = 'refused') = (loan_id is null))
) with (fillfactor = 90);
-- Clearing reads one day; rows arrive in day order, so a block range index costs the hot path nothing.
create index purchase_by_day on purchase using brin (business_day) with (pages_per_range = 8, autosummarize = on);

-- A debt (借据). What has been paid changes; what was agreed does not.
create table loan (
    loan_id uuid not null,
    line_id uuid not null,
    purchase_id uuid not null,
    funder_id uuid not null,
    merchant_id uuid not null,
    product_id uuid not null,
    product_version int not null,
    grade text not null,
    periods smallint not null,
    -- The contract rate a year on which penalty and early payoff stand; zero for interest-free and flat fee.
    annual_rate numeric not null,
    principal_fen bigint not null check (principal_fen > 0),
    principal_paid_fen bigint not null default 0 check (principal_paid_fen >= 0),
    -- Principal that fell by refunds.
    principal_returned_fen bigint not null default 0 check (principal_returned_fen >= 0),
    status text not null check (status in ('open', 'paid', 'refunded', 'voided', 'charged_off')),
    -- The agenda. Period k is billed on the k-th statement day, the first on `first_statement_on`, so that the
    -- close finds its work by (statement_day, line_id) and never has to move a date forward on the loan.
    statement_day smallint not null,
    first_statement_on date not null,
    last_statement_on date not null,
    schedule_version int not null default 1,
    made_on date not null,
    closed_on date,
    primary key (loan_id, line_id),
    check (principal_paid_fen + principal_returned_fen <= principal_fen)
) with (fillfactor = 80);
create index loan_agenda on loan (statement_day, line_id) where status = 'open';
-- All loans of a line, closed ones too, are found through its purchases, whose key begins with the line.

-- One version of a loan's schedule: written once, never updated; a payoff or refund writes the next version.
-- Element k of each array is period k. Arrays on one row, because a schedule is a contract read whole and written
-- whole: one row and one index entry in place of twelve. Measured: see docs/ARCHITECTURE.md, Speed.
create table schedule (
    loan_id uuid not null,
    line_id uuid not null,
    version int not null,
    reason text not null check (reason in ('made', 'refund', 'payoff', 'restored')),
    due_on date[] not null,
    principal_fen bigint[] not null,
    interest_fen bigint[] not null,
    fee_fen bigint[] not null,
    business_day date not null,
    -- The line first: the close reads schedules in the order of lines.
    primary key (line_id, loan_id, version)
);
create index schedule_by_day on schedule using brin (business_day) with (pages_per_range = 8, autosummarize = on);

create table refund (
    refund_id uuid not null,
    line_id uuid not null,
    purchase_id uuid not null,
    loan_id uuid not null,
    merchant_id uuid not null,
    funder_id uuid not null,
    idempotency_key text not null,
    amount_fen bigint not null check (amount_fen > 0),
    -- amount = principal that fell (back to the reserve) + owed back to the borrower (paid to the card).
    principal_fell_fen bigint not null check (principal_fell_fen >= 0),
    owed_back_fen bigint not null check (owed_back_fen >= 0),
    interest_waived_fen bigint not null check (interest_waived_fen >= 0),
    discount_fee_returned_fen bigint not null check (discount_fee_returned_fen >= 0),
    subsidy_returned_fen bigint not null check (subsidy_returned_fen >= 0),
    schedule_version int not null,
    business_day date not null,
    created_at timestamptz not null,
    primary key (refund_id, line_id),
    unique (line_id, purchase_id, idempotency_key),
    check (amount_fen = principal_fell_fen + owed_back_fen)
);
create index refund_by_day on refund (business_day, merchant_id);
