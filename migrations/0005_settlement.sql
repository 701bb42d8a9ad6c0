-- Clearing, settlement, payout, remittance.

-- What one merchant is owed for one business day.
create table settlement (
    settlement_id uuid primary key,
    merchant_id uuid not null references merchant,
    business_day date not null,
    gross_fen bigint not null,
    refunds_fen bigint not null,
    discount_fee_fen bigint not null,
    subsidy_fen bigint not null,
    -- gross − refunds − fee − subsidy of this day.
    net_fen bigint not null,
    -- A negative net of earlier days, carried into this one.
    carried_in_fen bigint not null check (carried_in_fen <= 0),
    payable_fen bigint not null,
    status text not null check (status in ('to_pay', 'carried', 'paid', 'nothing')),
    pay_on date not null,
    paid_on date,
    bank_reference text,
    -- Whether a carried amount has been taken into a later settlement.
    carried_into uuid,
    unique (merchant_id, business_day),
    check (net_fen = gross_fen - refunds_fen - discount_fee_fen - subsidy_fen),
    check (payable_fen = net_fen + carried_in_fen)
);
create index settlement_carried on settlement (merchant_id) where status = 'carried' and carried_into is null;

-- The same by funder, because each funder's book pays its own part. Here charges and what refunds gave back of them stand
-- apart; the settlement shows their difference.
create table settlement_part (
    settlement_id uuid not null references settlement,
    funder_id uuid not null references funder,
    gross_fen bigint not null check (gross_fen >= 0),
    refunds_fen bigint not null check (refunds_fen >= 0),
    discount_fee_fen bigint not null check (discount_fee_fen >= 0),
    discount_returned_fen bigint not null check (discount_returned_fen >= 0),
    subsidy_fen bigint not null check (subsidy_fen >= 0),
    subsidy_returned_fen bigint not null check (subsidy_returned_fen >= 0),
    -- What the carried settlements owe of this funder's part; of either sign, since only their sum is negative.
    carried_in_fen bigint not null,
    primary key (settlement_id, funder_id)
);

-- What is passed on to one funder for one business day's collections and subsidies.
create table remittance (
    remittance_id uuid primary key,
    funder_id uuid not null references funder,
    business_day date not null,
    collected_fen bigint not null,
    subsidy_fen bigint not null,
    -- The platform's share of income by the products' profit-share tables.
    share_fen bigint not null,
    net_fen bigint not null,
    -- A negative net of earlier days (subsidies given back beyond what was collected), carried into this one.
    carried_in_fen bigint not null check (carried_in_fen <= 0),
    payable_fen bigint not null,
    status text not null check (status in ('to_pay', 'carried', 'paid', 'nothing')),
    pay_on date not null,
    paid_on date,
    bank_reference text,
    carried_into uuid,
    unique (funder_id, business_day),
    check (net_fen = collected_fen + subsidy_fen - share_fen),
    check (payable_fen = net_fen + carried_in_fen)
);
create index remittance_carried on remittance (funder_id) where status = 'carried' and carried_into is null;

-- The same by product version, whose profit-share table it is: the share is rounded once for each kind of income here.
create table remittance_part (
    remittance_id uuid not null references remittance,
    product_id uuid not null,
    product_version int not null,
    principal_fen bigint not null,
    interest_fen bigint not null,
    fee_fen bigint not null,
    penalty_fen bigint not null,
    subsidy_fen bigint not null,
    share_fen bigint not null,
    primary key (remittance_id, product_id, product_version)
);

-- A payment that the platform makes through the payout channel: once, whatever happens to its answer.
create table payout (
    payout_id uuid primary key,
    kind text not null check (kind in ('settlement', 'remittance', 'borrower')),
    -- The settlement, remittance, refund or repayment that it pays.
    source_id uuid not null,
    -- Who receives: a merchant, a funder, or a borrower's card.
    beneficiary_id uuid not null,
    -- The card; where it is null or no longer bound, the borrower's default card.
    card_id uuid,
    -- Whose books a payment to a borrower stands in.
    line_id uuid,
    funder_id uuid,
    amount_fen bigint not null check (amount_fen > 0),
    status text not null check (status in ('created', 'submitted', 'unknown', 'succeeded', 'failed')),
    failure text,
    bank_reference text,
    pay_on date not null,
    -- The channel's key is the payout's id and this number. It grows only when a person retries after an explicit failure,
    -- so that at most one attempt can ever be paid.
    attempt_no smallint not null default 1 check (attempt_no > 0),
    query_at timestamptz,
    queries smallint not null default 0,
    created_at timestamptz not null,
    final_at timestamptz,
    unique (kind, source_id),
    check ((status = 'failed') = (failure is not null)),
    check ((status = 'succeeded') = (bank_reference is not null)),
    check ((kind = 'borrower') = (line_id is not null and funder_id is not null))
);
create index payout_to_submit on payout (pay_on, payout_id) where status = 'created';
create index payout_to_query on payout (query_at) where status in ('submitted', 'unknown');
create index payout_failed on payout (created_at) where status = 'failed';

-- What happened to each payout, append-only.
create table payout_event (
    event_no bigint generated always as identity primary key,
    payout_id uuid not null,
    attempt_no smallint not null,
    status text not null,
    detail text,
    occurred_at timestamptz not null
);
create index payout_event_by_payout on payout_event (payout_id);
