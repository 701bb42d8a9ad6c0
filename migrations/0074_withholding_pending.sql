-- An order is made, sent and ended, by one insert and two updates. Its status and when it is asked about stood in three indexes, so that
-- every index had to hear that it was sent, and again of each question, though it was pending all the while. Now the indexes know only
-- whether it is pending and when it was to be sent: an order is entered into four of them when it is made, into none while it is
-- pending, and into the two of its keys again when it ends; into one more if it failed.
drop index one_pending_collection;
drop index withholding_to_submit;
drop index withholding_to_query;
alter table withholding
    add column is_pending boolean not null
        generated always as (status in ('created', 'submitted', 'unknown')) stored;
-- While one order is pending, nothing else may collect from the line: not a retry, not another channel, not the button.
create unique index one_pending_collection on withholding (line_id) where is_pending;
-- What is to be sent, and what is to be asked about: nothing is sent before `submit_at`, so that neither meets the orders of tomorrow.
create index withholding_pending on withholding (submit_at, line_id) where is_pending;
-- What a later try asks of the earlier ones of its day; `failure` changes only as an order ends.
create index withholding_failed on withholding (line_id, business_day) where purpose = 'due' and failure is not null;
-- The orders of a page are sent together: both versions of each have room on it, and most of the third where the first is cleared. By
-- reckoning an order takes 150 bytes more for good than on pages filled to four fifths, and three entries in indexes less; what lies
-- between saves and costs in proportion. Only from here on: orders that have ended stay packed as they are.
alter table withholding set (fillfactor = 50);
-- Whoever looks for work passes by what has ended since the last vacuum and was pending before: a fifth of all rows, at which one begins
-- by itself, are the orders of half a year.
alter table withholding set (autovacuum_vacuum_scale_factor = 0.02);
