-- The day on which the bank had a transfer's money, from which it counts; null if it counts from the day on which it was recorded.
alter table transfer_by_bank_reference add column received_on date;

-- The day that a repayment counts from: of a transfer the one on which the bank had it, of an order the order's own day.
create function value_date(one repayment) returns date language sql stable as $$
    select coalesce(
        case when one.source = 'transfer'
             then (select t.received_on from transfer_by_bank_reference t where t.repayment_id = one.repayment_id limit 1)
             when one.source in ('withholding', 'channel_file')
             then (select w.business_day from withholding w
                   where w.line_id = one.line_id and w.withholding_id = one.source_reference::uuid) end,
        one.business_day)
$$;
