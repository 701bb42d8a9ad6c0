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

-- The same by funder, because each funder's book pays its own part.
create table settlement_part (
    settlement_id uuid not null references settlement,
    funder_id uuid not null references funder,
    gross_fen bigint not null,
    refunds_fen bigint not null,
    discount_fee_fen bigint not null,
    subsidy_fen bigint not null,
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
    status text not null check (status in ('to_pay', 'paid', 'nothing')),
    pay_on date not null,
    paid_on date,
    bank_reference text,
    unique (funder_id, business_day),
    check (net_fen = collected_fen + subsidy_fen - share_fen)
);

-- A payment that the platform makes through the payout channel: once, whatever happens to its answer.
create table payout (
    payout_id uuid primary key,
    kind text not null check (kind in ('settlement', 'remittance', 'borrower')),
    -- The settlement, remittance, refund or repayment that it pays.
    source_id uuid not null,
    -- Who receives: a merchant, a funder, or a borrower's card.
    beneficiary_id uuid not null,
    card_id uuid,
    amount_fen bigint not null check (amount_fen > 0),
    status text not null check (status in ('created', 'submitted', 'unknown', 'succeeded', 'failed')),
    failure text,
    bank_reference text,
    pay_on date not null,
    query_at timestamptz,
    attempts smallint not null default 0,
    created_at timestamptz not null,
    final_at timestamptz,
    unique (kind, source_id)
);
create index payout_pending on payout (pay_on) where status in ('created', 'submitted', 'unknown');
