-- Collection: transfers are booked once over all lines, and successes are found by the day on which they were known.

-- The bank reference of every transfer that was booked. A repayment is told apart by line and source; one transfer that is
-- recorded for two lines is told apart here.
create table transfer_by_bank_reference (
    bank_reference text primary key,
    line_id uuid not null,
    repayment_id uuid not null
);
insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id)
select distinct on (source_reference) source_reference, line_id, repayment_id
from repayment where source = 'transfer' order by source_reference, received_at, repayment_id;

-- A channel's file is compared with what became final on its day, whatever day the order was made for.
create index withholding_by_end on withholding using brin (final_at) with (pages_per_range = 8, autosummarize = on);
