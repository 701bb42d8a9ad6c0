-- The hash of a call's request was one of the body itself. If nothing but a mobile or a one-time code is unknown of a body, whoever has the
-- table finds it from such a hash by trying them all. From now on it is one of the masked body; those from before are removed.
alter table partner_call drop column request_sha256;
alter table partner_call add column request_sha256 bytea not null default '';
alter table partner_call alter column request_sha256 drop default;

-- Journals of lines and reserves, and schedules, are written once, as postings are.
create trigger line_entry_append_only before update or delete on line_entry for each row execute function refuse_change();
create trigger reserve_entry_append_only before update or delete on reserve_entry for each row execute function refuse_change();
create trigger schedule_append_only before update or delete on schedule for each row execute function refuse_change();
