-- What people did by hand, one after the other: each entry bears the hash of the one before it, so that none can be changed, removed
-- or put between others without changing all that come after it. Append-only.
create table audit_entry (
    -- From 1 on, without a gap.
    entry_no bigint primary key check (entry_no > 0),
    done_at timestamptz not null,
    -- A name as it was typed, the account of the operating system in which nobody typed one, or the holder of the key that signed.
    done_by text not null,
    known_by text not null check (known_by in ('typed', 'system_user', 'key_holder')),
    action text not null,
    object_kind text not null,
    object_id text not null,
    -- Ids, figures and our own words; no personal data. Not as jsonb, because the hash is made of its text as it was written.
    detail json not null,
    -- Zeros in the first entry.
    previous_hash bytea not null check (octet_length(previous_hash) = 32),
    -- SHA-256 of all the columns before, as docs/AUDIT.md writes them out.
    hash bytea not null check (octet_length(hash) = 32)
);
create trigger audit_entry_append_only before update or delete on audit_entry for each row execute function refuse_change();

-- The last entry, remembered beside them: without it the last ones could be removed unnoticed. Whoever adds one locks this row, last
-- of all that a transaction locks, so that two that come at once follow one another.
create table audit_head (
    is_only boolean primary key default true check (is_only),
    entry_no bigint not null,
    hash bytea not null
);
insert into audit_head (entry_no, hash) values (0, decode(repeat('00', 32), 'hex'));
