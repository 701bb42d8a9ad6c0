-- Nearly every call ends well, and says nothing of how it did: its row cost an index entry for each of two words that tell no call from
-- another. Such calls are found from the newest on, and only what ended otherwise is looked up.
drop index partner_call_by_code;
create index partner_call_by_code on partner_call using gin (codes) where not (codes <@ array['ok', '200', '201']);
