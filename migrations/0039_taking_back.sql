-- A transfer that was recorded wrongly is taken back by two people, and can be recorded again as it was. Whoever confirms what another
-- person proposes, here or for a break, names the proposal that he has seen.

-- Counts what was proposed for a break: the comparison's own proposal is the first.
alter table reconciliation_break add column proposal_no integer not null default 1;
