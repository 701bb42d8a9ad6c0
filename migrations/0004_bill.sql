-- Bills, withholding, repayments.

-- What one line owes on one due day, over all its loans. Totals are as cut and never change: paid and returned
-- money stands on the lines.
create table bill (
    line_id uuid not null,
    due_on date not null,
    statement_on date not null,
    principal_fen bigint not null,
    interest_fen bigint not null,
    fee_fen bigint not null,
    status text not null check (status in ('open', 'paid')),
    paid_on date,
    primary key (line_id, due_on)
) with (fillfactor = 80);
create index bill_open on bill (due_on, line_id) where status = 'open';

-- One installment as billed: the work list of collection. `origin` is `payoff` for the one line that an early payoff
-- makes, which belongs to no bill.
create table bill_line (
    line_id uuid not null,
    loan_id uuid not null,
    period smallint not null,
    due_on date not null,
    origin text not null default 'statement' check (origin in ('statement', 'payoff')),
    principal_fen bigint not null check (principal_fen >= 0),
    interest_fen bigint not null check (interest_fen >= 0),
    fee_fen bigint not null check (fee_fen >= 0),
    principal_paid_fen bigint not null default 0,
    interest_paid_fen bigint not null default 0,
    fee_paid_fen bigint not null default 0,
    penalty_paid_fen bigint not null default 0,
    -- Taken off after billing: by a refund, or charges that a payoff quoted before the bill was cut does not owe.
    principal_returned_fen bigint not null default 0,
    interest_returned_fen bigint not null default 0,
    fee_returned_fen bigint not null default 0,
    -- Overdue principal times days, summed up to `fen_days_to`, the last day on which the principal changed. With the
    -- days since, it gives the penalty of the whole span in one rounding; nothing is written while nothing is paid.
    fen_days bigint not null default 0,
    fen_days_to date,
    primary key (line_id, loan_id, period),
    constraint collected_never_exceeds_due check (
        principal_paid_fen >= 0 and interest_paid_fen >= 0 and fee_paid_fen >= 0 and penalty_paid_fen >= 0
        and principal_paid_fen + principal_returned_fen <= principal_fen
        and interest_paid_fen + interest_returned_fen <= interest_fen
        and fee_paid_fen + fee_returned_fen <= fee_fen)
) with (fillfactor = 80);
create index bill_line_due on bill_line (line_id, due_on);

-- One order to take money from a card. `unknown` is pending: only the channel's explicit word is final.
create table withholding (
    withholding_id uuid not null,
    line_id uuid not null,
    borrower_id uuid not null,
    purpose text not null check (purpose in ('due', 'button', 'payoff')),
    -- The loan that a payoff ends, and the amount quoted for it.
    loan_id uuid,
    idempotency_key text not null,
    card_id uuid not null,
    channel text not null,
    amount_fen bigint not null check (amount_fen > 0),
    partial_allowed boolean not null,
    attempt_no smallint not null,
    status text not null check (status in ('created', 'submitted', 'unknown', 'succeeded', 'failed')),
    -- `superseded`: never submitted, because the borrower paid first or nothing was owed any more.
    -- `reversed`: held for a success, until the channel's file contradicted and two people took it back.
    failure text check (failure in ('insufficient_funds', 'card_invalid', 'channel_down', 'refused', 'superseded', 'reversed')),
    channel_code text,
    channel_reference text,
    collected_fen bigint not null default 0 check (collected_fen >= 0 and collected_fen <= amount_fen),
    business_day date not null,
    created_at timestamptz not null,
    -- The product's time of day; a later attempt of the day is its own order.
    submit_at timestamptz not null,
    submitted_at timestamptz,
    -- When the channel is asked again what became of it.
    query_at timestamptz,
    queries smallint not null default 0,
    final_at timestamptz,
    primary key (withholding_id, line_id),
    unique (line_id, idempotency_key),
    check ((status = 'failed') = (failure is not null))
) with (fillfactor = 80);
-- While one order is pending, nothing else may collect from the line: not a retry, not another channel, not the button.
create unique index one_pending_collection on withholding (line_id) where status in ('created', 'submitted', 'unknown');
create index withholding_to_submit on withholding (submit_at, line_id) where status = 'created';
create index withholding_to_query on withholding (query_at) where status in ('submitted', 'unknown');
create index withholding_by_day on withholding using brin (business_day) with (pages_per_range = 8, autosummarize = on);

-- Money received and how it was allocated: element k of each array is one installment that it touched.
create table repayment (
    repayment_id uuid not null,
    line_id uuid not null,
    funder_id uuid not null,
    source text not null check (source in ('withholding', 'transfer', 'channel_file', 'reversal')),
    -- The withholding, the bank reference of a transfer, the file's line, or the repayment taken back: booked once.
    source_reference text not null,
    -- Negative where a repayment is taken back; then so are its parts, and every sum comes out by itself.
    amount_fen bigint not null check (amount_fen <> 0 and (amount_fen < 0) = (source = 'reversal')),
    loan_ids uuid[] not null,
    periods smallint[] not null,
    principal_fen bigint[] not null,
    interest_fen bigint[] not null,
    fee_fen bigint[] not null,
    penalty_fen bigint[] not null,
    -- What no installment could take, owed back to the borrower.
    excess_fen bigint not null default 0 check (excess_fen >= 0),
    business_day date not null,
    received_at timestamptz not null,
    primary key (repayment_id, line_id),
    unique (line_id, source, source_reference)
);
create index repayment_by_day on repayment using brin (business_day) with (pages_per_range = 8, autosummarize = on);
