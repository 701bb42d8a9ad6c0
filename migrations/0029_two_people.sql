-- "Chen Wei" and "chen wei" are one person. Not looked for in what was closed before: nothing closed is opened again.
alter table reconciliation_break drop constraint reconciliation_break_check;
alter table reconciliation_break add constraint reconciliation_break_two_people
    check (lower(confirmed_by) <> lower(owner)) not valid;
