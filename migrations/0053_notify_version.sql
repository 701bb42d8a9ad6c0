-- One higher after each change of where a merchant is notified: who changes it names the version that was read. The address itself
-- would not do, which may have been changed and changed back.
alter table merchant add column notify_version int not null default 0;
