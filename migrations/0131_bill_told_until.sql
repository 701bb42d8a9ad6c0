-- The last day whose stages of lateness were told of the bill; null while none was. If a payment is taken back, the bill catches up on
-- those after it. The close of a day and the taking back may come to the bill at the same time, and each stage is told once.
alter table bill add column told_until date;
-- Closes have told of bills that were late every stage before the day on which they were paid, or whose close has not ended.
update bill b set told_until = least(b.paid_on, d.not_closed) - 1
from (select coalesce((select min(business_day) from close_run where finished_at is null), today) as not_closed from business_day) d
where b.due_on < least(b.paid_on, d.not_closed);
