-- Lines whose bills may have passed the day of their charge-off before loans were charged off at all. Each day's close looks at the
-- bills that reach their day on it; these lines it looks at once, as a whole, and takes them off.
create table charge_off_look_back (
    line_id uuid primary key
);
insert into charge_off_look_back
select distinct b.line_id from bill b where b.status = 'open' and b.due_on < (select today from business_day);
