-- Work to do and what was done with the outside world.

-- A job is small and repeatable. It is claimed with `skip locked` and leased; a lease that ran out is claimed again.
create table job (
    job_id uuid primary key,
    kind text not null,
    -- What makes it one: a business day, an object's id. The same kind and key is enqueued once.
    unique_key text not null,
    payload jsonb not null,
    status text not null check (status in ('ready', 'running', 'done', 'dead')),
    run_at timestamptz not null,
    attempts smallint not null default 0,
    locked_until timestamptz,
    locked_by text,
    last_error text,
    created_at timestamptz not null,
    finished_at timestamptz,
    unique (kind, unique_key)
) with (fillfactor = 80);
create index job_ready on job (run_at) where status in ('ready', 'running');
-- Jobs that gave up are counted on every scrape of the metrics; there should be none.
create index job_dead on job (kind) where status = 'dead';

create table close_run (
    business_day date primary key,
    started_at timestamptz not null,
    finished_at timestamptz
);
-- The control row of each chunk, written in the chunk's own transaction: what is here is done.
create table close_chunk (
    business_day date not null references close_run,
    step text not null,
    chunk_no int not null,
    -- The account range, both ends included.
    line_from uuid not null,
    line_to uuid not null,
    rows bigint,
    done_at timestamptz,
    primary key (business_day, step, chunk_no)
);

-- Messages to partners, written in the transaction of what they tell. Delivered at least once, in order per object.
create table outbox (
    message_no bigint generated always as identity primary key,
    partner text not null,
    kind text not null,
    object_id uuid not null,
    body jsonb not null,
    created_at timestamptz not null,
    attempts smallint not null default 0,
    next_attempt_at timestamptz not null,
    delivered_at timestamptz,
    -- Given up: its object waits until an operator replays it. Never delivered and dead at once.
    dead_at timestamptz,
    last_error text,
    check (delivered_at is null or dead_at is null)
) with (fillfactor = 80);
create index outbox_pending on outbox (partner, message_no) where delivered_at is null;
-- Messages that failed hold back their object's later ones; new messages never touch this index.
create index outbox_failed on outbox (partner, object_id, message_no) where delivered_at is null and attempts > 0;

-- How a partner as a whole is doing: a partner that is down is left alone for growing delays.
create table outbox_partner (
    partner text primary key,
    failures smallint not null default 0,
    next_attempt_at timestamptz not null,
    -- Set by an operator; nothing is delivered until it is cleared.
    paused_at timestamptz
);

-- Every call to and from a partner, bodies masked, searchable by key and object.
create table partner_call (
    call_no bigint generated always as identity primary key,
    partner text not null,
    direction text not null check (direction in ('out', 'in')),
    operation text not null,
    call_key text not null,
    request_sha256 bytea not null,
    outcome text not null,
    http_status smallint,
    duration_micros bigint not null,
    request_masked text not null,
    response_masked text not null,
    called_at timestamptz not null
);
create index partner_call_by_key on partner_call (call_key);

-- A channel's daily file, as received, and what the comparison found.
create table channel_file (
    channel text not null,
    business_day date not null,
    sha256 bytea not null,
    lines int not null,
    amount_fen bigint not null,
    cost_fen bigint not null,
    compared_at timestamptz,
    primary key (channel, business_day)
);
create table channel_file_line (
    channel text not null,
    business_day date not null,
    line_no int not null,
    withholding_id uuid not null,
    channel_reference text not null,
    succeeded boolean not null,
    amount_fen bigint not null,
    cost_fen bigint not null,
    primary key (channel, business_day, line_no)
);
-- By order: an order that is pending for days is looked for in every file since.
create index channel_file_line_by_order on channel_file_line (withholding_id);

-- One difference between a partner's file and our books.
create table reconciliation_break (
    break_id uuid primary key,
    channel text not null,
    business_day date not null,
    kind text not null check (kind in ('missing_here', 'missing_there', 'amount_differs', 'we_failed_they_succeeded', 'we_succeeded_they_failed')),
    withholding_id uuid not null,
    our_fen bigint not null,
    their_fen bigint not null,
    proposed text not null check (proposed in ('post', 'refund', 'ask_channel', 'reverse')),
    status text not null check (status in ('open', 'corrected', 'dismissed')),
    owner text not null,
    -- Two people: whoever confirms is not whoever proposed.
    confirmed_by text,
    note text,
    -- What the channel paid (or got back) by hand to settle it.
    settled_fen bigint not null default 0,
    opened_on date not null,
    closed_on date,
    unique (channel, business_day, withholding_id, kind),
    check (confirmed_by is null or confirmed_by <> owner)
);

-- Notices to people: borrower, merchant, funder or operator. Each is written in the transaction of what it tells. A borrower's
-- that an SMS is right for is also put into the outbox, for the SMS partner.
create table notice (
    notice_no bigint generated always as identity primary key,
    audience text not null check (audience in ('borrower', 'merchant', 'funder', 'operator')),
    -- Operators have no id of their own.
    recipient_id uuid,
    kind text not null,
    -- What the wording needs: amounts in fen, days, ids. Pages word it.
    body jsonb not null,
    business_day date not null,
    created_at timestamptz not null,
    -- When its recipient opened the list that holds it.
    read_at timestamptz
);
-- The ids of borrowers, merchants and funders differ, so that the audience need not stand in the index.
create index notice_of_recipient on notice (recipient_id, notice_no);
-- Funders and operators are told by jobs that look again and again: the same thing once a day. Borrowers and merchants are
-- told by what happens to them, which happens once, in tens of thousands: an index of theirs would only cost.
create unique index notice_once on notice (business_day, kind, recipient_id, jsonb_hash_extended(body, 0))
    nulls not distinct where audience in ('funder', 'operator');
