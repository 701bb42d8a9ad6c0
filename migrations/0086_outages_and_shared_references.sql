-- Partners that have answered nothing since a call of ours failed: a row from the first look that finds it until one that finds an answer.
create table partner_outage (
    partner text primary key,
    -- When the first call began that was not answered.
    since timestamptz not null,
    -- When operators were told; null while it may be over soon.
    told_at timestamptz
);

-- `shared_reference`: a channel's file names one payment, by its reference, for several orders.
alter table reconciliation_break drop constraint reconciliation_break_kind_check;
alter table reconciliation_break add constraint reconciliation_break_kind_check
    check (kind in ('missing_here', 'missing_there', 'amount_differs', 'we_failed_they_succeeded', 'we_succeeded_they_failed',
                    'named_twice', 'shared_reference'));

-- Who waits for a person, the oldest first.
create index application_referred on application (created_at) where status = 'referred';
