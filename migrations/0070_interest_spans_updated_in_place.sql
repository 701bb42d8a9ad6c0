-- Every evening each span that runs is brought to that day. Whether it is posted in full stood in an index, so that each time every
-- index of the table had an entry more for every span, though nothing of it had changed but the sum.

-- All spans of a page are updated together: both versions of each have room on it.
alter table interest_span set (fillfactor = 50);
alter table interest_span
    add column is_open boolean not null generated always as (accrued_fen <> amount_fen) stored;
drop index interest_span_open;
create index interest_span_open on interest_span (to_on) where is_open;
