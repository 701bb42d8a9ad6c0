-- Partners that have answered nothing since a call of ours failed: a row from the first look that finds it until one that finds an answer.
create table partner_outage (
    partner text primary key,
    -- When the first call began that was not answered.
    since timestamptz not null,
    -- When operators were told; null while it may be over soon.
    told_at timestamptz
);
