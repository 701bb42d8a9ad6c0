-- Who is signed in where, and the codes and PINs by which people prove who they are.

-- One browser has one random token, in a cookie; only its hash is stored. The same browser may be signed in as a borrower
-- and as a merchant's staff at once, so the kind is part of the key.
create table session (
    token_hash bytea not null check (length(token_hash) = 32),
    kind text not null check (kind in ('borrower', 'merchant')),
    -- The public name of the session, by which its owner ends it.
    session_id uuid not null,
    -- The borrower, or the merchant's staff; null for a person who has proved a mobile but not yet who they are.
    subject_id uuid,
    -- What such a person has proved so far, sealed under the master key.
    mobile_sealed bytea,
    openid_sealed bytea,
    -- The device, as its browser names itself.
    device text not null,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (token_hash, kind)
);
create index session_of_subject on session (subject_id, kind);
create index session_expiry on session (expires_at);

-- A six-digit code sent to a mobile. The mobile and the code are keyed hashes; the code is good once and for a few minutes.
create table passcode (
    mobile_hash bytea not null,
    purpose text not null check (purpose in ('borrower_sign_in', 'merchant_sign_in', 'pin_reset', 'account_closing')),
    code_hash bytea not null,
    codes_tried smallint not null default 0,
    sent_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (mobile_hash, purpose)
);
create index passcode_expiry on passcode (expires_at);

-- How often something was done within a window that began at started_at: codes sent to a mobile, or asked for from an address.
create table throttle (
    kind text not null,
    key_hash bytea not null,
    started_at timestamptz not null,
    count int not null,
    primary key (kind, key_hash)
);
create index throttle_age on throttle (started_at);

-- The PIN that confirms payments: Argon2id over a keyed hash, so that the table alone gives nothing away.
create table pin (
    borrower_id uuid primary key,
    hash text not null,
    failures smallint not null default 0,
    locked_until timestamptz,
    set_at timestamptz not null
);

-- The WeChat identity by which a borrower signs in and is written to. Look-up by keyed hash; the identity itself is sealed.
create table borrower_by_openid (
    openid_hash bytea primary key,
    borrower_id uuid not null
);
create table wechat_identity (
    borrower_id uuid primary key,
    openid_hash bytea not null,
    openid_sealed bytea not null,
    linked_at timestamptz not null
);
