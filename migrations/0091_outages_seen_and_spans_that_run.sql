-- When a node that calls this partner last looked: nodes need not all be configured for the same partners, and of one that none of them
-- calls any more no answer ever ends the outage.
alter table partner_outage add column seen_at timestamptz not null default now();
alter table partner_outage alter column seen_at drop default;

-- The close brings every span that runs to its day, also one of which all is posted: a refund may have taken off it just what had not
-- run yet.
create index interest_span_by_end on interest_span (to_on);
