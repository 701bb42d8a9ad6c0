-- Whether the channel once did not say what became of the order. Its status does not tell any more when it has: a callback may be
-- the first to say it, before anybody asked.
alter table withholding add column was_unknown boolean not null default false;
