-- The partner API: who may call us, by which keys, what they may do, and what they were answered.

-- A funder's, merchant's or risk partner's system that calls `/api/v1`.
create table api_partner (
    partner_id uuid primary key,
    -- The `mchid` of its signatures.
    code text not null unique check (code ~ '^[a-z0-9-]{2,32}$'),
    kind text not null check (kind in ('funder', 'merchant', 'risk')),
    -- Whose objects it sees.
    funder_id uuid references funder,
    merchant_id uuid references merchant,
    scopes text[] not null,
    -- Addresses and networks that it may call from; empty for any.
    addresses text[] not null,
    rate_per_minute int not null check (rate_per_minute > 0),
    -- One higher after each change of this row or of its keys, by which a node notices that what it remembers is old.
    version int not null default 1,
    disabled_at timestamptz,
    created_at timestamptz not null,
    check ((kind = 'funder') = (funder_id is not null)),
    check ((kind = 'merchant') = (merchant_id is not null))
);

-- A partner's public keys, several at once while one replaces another. A serial number never names another key.
create table api_key (
    partner_id uuid not null references api_partner,
    serial_no text not null check (serial_no ~ '^[A-Za-z0-9._-]{1,64}$'),
    algorithm text not null check (algorithm in ('sm2_sm3', 'rsa_sha256')),
    -- SPKI in DER.
    public_key bytea not null,
    -- Who holds it at the partner: what needs two people needs keys of two holders.
    holder text not null,
    added_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (partner_id, serial_no)
);

-- Our own keys, by which partners believe our answers and callbacks. Made when first needed, so that every node has them.
create table platform_key (
    serial_no text primary key,
    algorithm text not null check (algorithm in ('sm2_sm3', 'rsa_sha256')),
    -- PKCS #8 in PEM, sealed under the master key.
    private_key_sealed bytea not null,
    public_key bytea not null,
    created_at timestamptz not null,
    -- The newest that is not retired signs; older ones stand here so that partners can check what they signed.
    retired_at timestamptz
);

-- Nonces within the time in which their signatures are believed, over all nodes.
create table nonce (
    -- `api:` or `callback:` and the id by which the partner signs.
    signer text not null,
    nonce text not null,
    expires_at timestamptz not null,
    primary key (signer, nonce)
);
create index nonce_expiry on nonce using brin (expires_at) with (pages_per_range = 8, autosummarize = on);

-- Calls of a partner within a minute, over all nodes.
create table api_rate (
    partner_id uuid not null,
    minute timestamptz not null,
    calls int not null,
    primary key (partner_id, minute)
) with (fillfactor = 50);

-- The first answer under each idempotency key. Without a status the request is still running.
create table api_answer (
    partner_id uuid not null,
    idempotency_key text not null,
    -- SHA-256 of method, path with query, and body.
    request_sha256 bytea not null check (length(request_sha256) = 32),
    started_at timestamptz not null,
    status smallint,
    content_type text,
    location text,
    etag text,
    body bytea,
    primary key (partner_id, idempotency_key)
);
create index api_answer_age on api_answer using brin (started_at) with (pages_per_range = 8, autosummarize = on);

-- A merchant's orders in the order of their making.
create index merchant_code_by_merchant on merchant_code (merchant_id, code_id);

-- Money that a funder's system says it has sent, or wants back. A deposit is booked when its arrival is confirmed here; a
-- withdrawal when a second holder of the funder's keys confirms it.
create table reserve_order (
    order_id uuid primary key,
    funder_id uuid not null references funder,
    kind text not null check (kind in ('deposit', 'withdrawal')),
    amount_fen bigint not null check (amount_fen > 0),
    -- The bank's; booked once for each kind.
    reference text not null,
    status text not null check (status in ('noted', 'booked', 'refused')),
    noted_by text not null,
    noted_at timestamptz not null,
    decided_by text,
    reason text,
    decided_at timestamptz,
    unique (funder_id, kind, reference),
    check ((status = 'noted') = (decided_by is null)),
    check ((status = 'refused') = (reason is not null))
);

-- A product version that a funder's system proposes: submitted, approved by another holder, published.
create table product_draft (
    draft_id uuid primary key,
    funder_id uuid not null references funder,
    code text not null,
    terms_text text not null,
    -- One higher after each edit: who approves names what was read.
    edit_no int not null default 1,
    status text not null check (status in ('submitted', 'approved', 'published')),
    submitted_by text not null,
    submitted_at timestamptz not null,
    approved_by text check (approved_by <> submitted_by),
    approved_at timestamptz,
    published_version int,
    check ((status = 'published') = (published_version is not null)),
    check ((status = 'submitted') = (approved_by is null))
);
create index product_draft_by_funder on product_draft (funder_id, draft_id);

-- The interface log is looked through by partner, the newest first, and forgotten by age.
create index partner_call_by_partner on partner_call (partner, call_no);
create index partner_call_age on partner_call using brin (called_at) with (pages_per_range = 8, autosummarize = on);
