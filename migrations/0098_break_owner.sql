-- A break's owner is who looks after it, who need not have proposed its correction. Who proposed it stands beside that, and is whom
-- another person confirms.
alter table reconciliation_break add column proposed_by text;
-- Off while rows are written that were closed before names counted however they are written.
alter table reconciliation_break drop constraint reconciliation_break_two_people;
update reconciliation_break set proposed_by = owner;
alter table reconciliation_break alter column proposed_by set not null;
alter table reconciliation_break add constraint reconciliation_break_two_people
    check (lower(confirmed_by) <> lower(proposed_by)) not valid;
