-- People, their consents and cards, their applications, and the lines that come of them.

-- Personal data is sealed by field under a key of its own person, which is sealed under the master key:
-- to erase a person is to delete `person_key_sealed`.
create table borrower (
    borrower_id uuid primary key,
    person_key_sealed bytea,
    name_sealed bytea not null,
    id_number_sealed bytea not null,
    mobile_sealed bytea not null,
    birth_on date not null,
    region_code text not null,
    created_at timestamptz not null
);

-- Look-up tables: global uniqueness by a keyed hash (blind index), so the value itself is never stored in clear.
create table borrower_by_id_number (
    id_number_hash bytea primary key,
    borrower_id uuid not null
);
create table borrower_by_mobile (
    mobile_hash bytea primary key,
    borrower_id uuid not null
);

-- The exact wording of an agreement, stored once.
create table consent_text (
    sha256 bytea primary key check (length(sha256) = 32),
    kind text not null,
    version text not null,
    body text not null,
    unique (kind, version)
);
create table consent (
    borrower_id uuid not null,
    consent_id uuid not null,
    kind text not null,
    text_sha256 bytea not null references consent_text,
    device text not null,
    agreed_at timestamptz not null,
    primary key (borrower_id, consent_id)
);

create table bank_card (
    borrower_id uuid not null,
    card_id uuid not null,
    number_sealed bytea not null,
    -- Blind index: the same card twice for one person is one card.
    number_hash bytea not null,
    number_tail text not null check (length(number_tail) = 4),
    mobile_sealed bytea not null,
    -- The channel's number of the signed withholding agreement (代扣协议).
    agreement_number text not null,
    agreement_signed_at timestamptz not null,
    status text not null check (status in ('bound', 'invalid', 'unbound')),
    is_default boolean not null,
    primary key (borrower_id, card_id)
);
create unique index bank_card_once on bank_card (borrower_id, number_hash) where status <> 'unbound';
create unique index bank_card_one_default on bank_card (borrower_id) where is_default;

-- A card that is being bound: the channel has sent its SMS code to the card's holder and waits for it. Signed, it
-- becomes the bank card of the same id.
create table card_signing (
    borrower_id uuid not null,
    card_id uuid not null,
    number_sealed bytea not null,
    number_hash bytea not null,
    number_tail text not null check (length(number_tail) = 4),
    mobile_sealed bytea not null,
    -- The channel's name for the code that it sent.
    challenge text not null,
    status text not null check (status in ('started', 'signed', 'refused')),
    codes_tried smallint not null default 0,
    started_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (borrower_id, card_id)
);

create table application (
    borrower_id uuid not null,
    application_id uuid not null,
    -- The product whose line is asked for, in the version that was shown.
    product_id uuid not null,
    product_version int not null,
    idempotency_key text not null,
    -- SHA-256 of what was asked, so that the same key with another body is refused.
    request_sha256 bytea not null check (length(request_sha256) = 32),
    -- What the risk hook is told (no sex, no marriage).
    facts jsonb not null,
    status text not null check (status in ('submitted', 'referred', 'approved', 'refused')),
    -- Why a person had to decide: the hook's words, or that it was silent. Stays after the decision.
    referral text,
    -- `scorecard`, `partner` or `person:<name>`: whose decision it was, and a person's reason for it.
    decided_by text,
    decision_note text,
    decided_at timestamptz,
    refusal text,
    score int,
    grade text,
    limit_fen bigint check (limit_fen > 0),
    line_id uuid,
    created_at timestamptz not null,
    primary key (borrower_id, application_id),
    unique (borrower_id, idempotency_key),
    check ((status = 'approved') = (line_id is not null)),
    check ((status = 'refused') = (refusal is not null))
);
-- What a crash left undecided.
create index application_waiting on application (created_at) where status = 'submitted';
-- One open application per person and product.
create unique index application_one_open on application (borrower_id, product_id)
    where status in ('submitted', 'referred');

create table credit_line (
    line_id uuid primary key,
    borrower_id uuid not null,
    funder_id uuid not null,
    -- The product that the line was opened under: its days, timetable and bounds.
    product_id uuid not null,
    product_version int not null,
    grade text not null,
    status text not null check (status in ('active', 'frozen', 'closed')),
    -- Every reason why it is frozen, in this order; each is lifted for itself. Text, because lines are written by arrays.
    frozen_for text check (frozen_for ~ '^(overdue|risk|operator)(,risk|,operator)*$'),
    limit_fen bigint not null check (limit_fen >= 0),
    -- Unpaid principal of all loans. Above the limit only after the limit was lowered.
    used_fen bigint not null default 0 check (used_fen >= 0),
    statement_day smallint not null check (statement_day between 1 and 31),
    due_day smallint not null check (due_day between 1 and 31),
    expires_on date not null,
    -- Purchases counted towards the product's daily number, and the day they were made on.
    purchases_on date,
    purchases_count int not null default 0,
    last_entry_no bigint not null default 0,
    opened_at timestamptz not null,
    check ((status = 'frozen') = (frozen_for is not null))
) with (fillfactor = 70);
create unique index credit_line_one_per_funder on credit_line (borrower_id, funder_id) where status <> 'closed';
create index credit_line_expiry on credit_line (expires_on) where status <> 'closed';

-- The line's journal, append-only: every change of limit, used or status.
create table line_entry (
    line_id uuid not null,
    entry_no bigint not null,
    kind text not null check (kind in ('opened', 'purchase', 'void', 'refund', 'repayment', 'limit', 'freeze', 'unfreeze', 'close')),
    used_change_fen bigint not null,
    limit_change_fen bigint not null,
    used_after_fen bigint not null,
    limit_after_fen bigint not null,
    -- The purchase, refund, repayment or application behind it; a person's name and reason for a manual change.
    source_id uuid,
    reason text,
    business_day date not null,
    occurred_at timestamptz not null,
    primary key (line_id, entry_no)
);
