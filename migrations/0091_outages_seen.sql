-- When a node that calls this partner last looked: nodes need not all be configured for the same partners, and of one that none of them
-- calls any more no answer ever ends the outage.
alter table partner_outage add column seen_at timestamptz not null default now();
alter table partner_outage alter column seen_at drop default;
