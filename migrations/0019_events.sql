-- Events as partners take them.

-- How a funder's core wants a kind of event. The newest version counts; one without a text gives our own form back.
create table event_template (
    funder_id uuid not null references funder,
    kind text not null,
    version int not null check (version > 0),
    -- Below the core's base URL, for a call of its own; null for the batch.
    path text,
    text text check (length(text) > 0),
    taken_when text,
    saved_by text not null,
    saved_at timestamptz not null,
    primary key (funder_id, kind, version),
    check (text is not null or (path is null and taken_when is null)),
    check (taken_when is null or path is not null)
);

-- Up to which number every message is there to be seen. Numbers are given before their transactions commit, so that a lower one
-- may appear after a higher: what is above is neither pulled nor sent to a core.
create table outbox_horizon (
    is_only boolean primary key default true check (is_only),
    settled_no bigint not null,
    -- The highest number given when `writers` were the transactions that wrote messages; settled once they have all ended.
    seen_no bigint not null,
    writers text[] not null
);
insert into outbox_horizon (settled_no, seen_no, writers) values (0, 0, '{}');

-- A message that has ended otherwise than by being delivered; `last_error` says why.
alter table outbox add column ending text check (ending in ('undeliverable', 'discarded'));
update outbox set ending = 'undeliverable' where last_error like 'not deliverable: %';
alter table outbox add constraint outbox_ended check (ending is null or delivered_at is not null);
-- Dead letters are looked for by `fenqi verify` and on every look at a partner; there should be none.
create index outbox_dead on outbox (partner, message_no) where dead_at is not null;

-- What people and partners' systems did to a partner's messages, and why.
create table outbox_action (
    action_no bigint generated always as identity primary key,
    partner text not null,
    action text not null check (action in ('pause', 'resume', 'replay', 'discard')),
    -- The range of a replay, or the one message; null for pause and resume.
    from_no bigint,
    to_no bigint,
    messages bigint,
    -- Who: a key's holder of the partner, or a name that the command line was given.
    done_by text not null check (length(done_by) between 1 and 200),
    reason text check (action <> 'discard' or length(reason) > 0),
    done_at timestamptz not null
);
create index outbox_action_by_partner on outbox_action (partner, action_no);

-- Messages about a reserve went to the core under its name in the settings; they go to the funder under its code, as all its others
-- do, so that it finds them where it reads its events.
update outbox o set partner = f.code from funder f where o.partner = 'funder_core' and o.object_id = f.funder_id;
