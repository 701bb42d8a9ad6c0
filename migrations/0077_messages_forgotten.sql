-- Messages that ended long ago are removed.

-- Up to where a partner's messages are gone: all of them up to that number, none above it. Whoever reads on from below it, or wants a
-- range again that begins there, is told. Its lock keeps removing and replaying apart: a replay takes it in share mode.
create table outbox_forgotten (
    partner text primary key,
    up_to_no bigint not null,
    -- When the youngest of them was written: a range may be asked for by time.
    last_written_at timestamptz not null
);
