-- Who gave access: every change of who may call, by which keys, how and how often. Append-only.
create table api_access_event (
    event_no bigint generated always as identity primary key,
    what text not null check (what in ('partner_added', 'key_added', 'key_revoked', 'grant_changed', 'platform_key_rotated')),
    -- The partner's name, or the platform's for a key of ours.
    partner text not null,
    -- The key that was added, revoked or made.
    serial_no text,
    -- The row or rows as they were, if there were any, and as they are from then on.
    before jsonb,
    after jsonb not null,
    -- The person who asked for it.
    changed_by text not null,
    occurred_at timestamptz not null
);
create index api_access_event_of_partner on api_access_event (partner, event_no);
create trigger api_access_event_append_only before update or delete on api_access_event
    for each row execute function refuse_change();
