-- A funder says that its core is not told of a kind of event at all.

-- Without a text, like our own form, but nothing is sent.
alter table event_template add column not_told boolean not null default false;
alter table event_template add constraint event_template_not_told check (not not_told or text is null);

-- `not_told`: its partner does not want to be told of its kind. No call was made.
alter table outbox drop constraint outbox_ending_check;
alter table outbox add constraint outbox_ending_check check (ending in ('undeliverable', 'discarded', 'not_told'));
