-- On one day a channel may say several things of an order, each after people have closed the break over the one before: only a break that is
-- still open stands in the way of another one of its kind.
do $$
declare
    old_key text;
begin
    select conname into strict old_key from pg_constraint where conrelid = 'reconciliation_break'::regclass and contype = 'u';
    execute format('alter table reconciliation_break drop constraint %I', old_key);
end $$;
create unique index reconciliation_break_open on reconciliation_break (channel, business_day, withholding_id, kind) where status = 'open';
-- What is known of an order is looked for by it.
create index reconciliation_break_by_order on reconciliation_break (withholding_id);
