-- A funder's files of a closed business day, and their manifest.

-- One row a funder and day, written by the close; a job makes the files.
create table funder_day (
    funder_id uuid not null references funder,
    business_day date not null,
    recorded_at timestamptz not null,
    made_at timestamptz,
    -- The exact text that is signed, and who signed it: a list of algorithm, serial_no and signature. The signatures of one text
    -- differ each time that it is signed, so they stand beside it.
    manifest text,
    manifest_sha256 bytea check (length(manifest_sha256) = 32),
    signatures jsonb,
    primary key (funder_id, business_day),
    check ((made_at is null) = (manifest is null) and (made_at is null) = (manifest_sha256 is null)
        and (made_at is null) = (signatures is null))
);
create index funder_day_to_make on funder_day (business_day, funder_id) where made_at is null;

-- A made file: a table of the day in one form, packed. Kept for good; its bytes only for a time.
create table funder_day_file (
    funder_id uuid not null,
    business_day date not null,
    -- `lines.csv.gz`, …
    name text not null,
    table_name text not null,
    rows bigint not null,
    bytes bigint not null,
    sha256 bytea not null check (length(sha256) = 32),
    sm3 bytea not null check (length(sm3) = 32),
    -- Unpacked.
    content_bytes bigint not null,
    content_sha256 bytea not null check (length(content_sha256) = 32),
    content_sm3 bytea not null check (length(content_sm3) = 32),
    -- The sums of its columns in fen, by name.
    sums jsonb not null,
    primary key (funder_id, business_day, name)
);

-- Its bytes, in pieces of one size (the last one may be shorter), so that a part is found without reading the rest.
create table funder_day_chunk (
    funder_id uuid not null,
    business_day date not null,
    name text not null,
    chunk_no int not null,
    content bytea not null,
    primary key (funder_id, business_day, name, chunk_no)
);
-- Packed already.
alter table funder_day_chunk alter column content set storage external;
create index funder_day_chunk_age on funder_day_chunk using brin (business_day) with (pages_per_range = 8, autosummarize = on);

-- The lines that changed on a day; entries arrive in day order.
create index line_entry_by_day on line_entry using brin (business_day) with (pages_per_range = 8, autosummarize = on);
