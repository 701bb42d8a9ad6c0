-- A line of a channel's file ends an order only by an explicit word: success, or a failure with its class.
alter table channel_file_line
    -- Why the order failed; null where it succeeded, and where the code says neither.
    add column failure text check (failure in ('insufficient_funds', 'card_invalid', 'channel_down', 'refused')),
    -- The channel's own word where it is not success; null in lines from before it was kept.
    add column code text,
    add constraint channel_file_line_one_end check (not succeeded or failure is null);

-- In files that were compared before, whatever was no success was held for a balance too low.
update channel_file_line l set failure = 'insufficient_funds'
from channel_file f
where f.channel = l.channel and f.business_day = l.business_day and f.compared_at is not null and not l.succeeded;

-- `named_twice`: the channel's files name an order more often than its money was booked.
alter table reconciliation_break drop constraint reconciliation_break_kind_check;
alter table reconciliation_break add constraint reconciliation_break_kind_check
    check (kind in ('missing_here', 'missing_there', 'amount_differs', 'we_failed_they_succeeded', 'we_succeeded_they_failed',
                    'named_twice'));
