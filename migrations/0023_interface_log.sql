-- The interface log finds a call under everything that it is about, and by every way in which it ended.

-- Objects: ids without their prefix, references, event numbers, names of files; of a call about many, each.
-- Codes: the outcome, the HTTP status, and every code in the answer.
alter table partner_call add column objects text[] not null default '{}';
alter table partner_call add column codes text[] not null default '{}';
update partner_call
set objects = array[case when call_key ~ '^[a-z]+_[0-9a-f]{32}$' then right(call_key, 32)
                         when call_key ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
                         then replace(call_key, '-', '')
                         else call_key end],
    codes = array_remove(array[outcome, http_status::text, substring(response_masked from '"code":"([^"]*)"')], null);
create index partner_call_by_object on partner_call using gin (objects);
create index partner_call_by_code on partner_call using gin (codes);
drop index partner_call_by_key;
