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
