-- The last day whose stages of lateness people were told of the bill, and the funder of the installment; null while of none. An installment
-- may count as paid while another keeps its bill open. If a payment is taken back, those after that day are told. The close of a day and the
-- taking back may come to the bill at the same time, and each stage is told once.
alter table bill add column told_until date;
alter table bill_line add column told_until date;
-- Closes have told of bills that were late every stage before the day on which they were paid, or whose close has not ended.
update bill b set told_until = least(b.paid_on, d.not_closed) - 1
from (select coalesce((select min(business_day) from close_run where finished_at is null), today) as not_closed from business_day) d
where b.due_on < least(b.paid_on, d.not_closed);
-- And of those of their installments that were settled before: every stage before the last repayment, or refund, that took from them.
update bill_line i set told_until = least(b.told_until, (
    select max(fell.on_day) - 1
    from (select r.business_day as on_day
          from repayment r
          cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
               as part(loan_id, period, principal_fen, interest_fen, fee_fen, penalty_fen)
          where r.line_id = i.line_id and r.source <> 'reversal' and part.loan_id = i.loan_id and part.period = i.period
            -- Penalty that is given back is negative, and settles nothing.
            and part.principal_fen + part.interest_fen + part.fee_fen + part.penalty_fen > 0
            and not exists (select from repayment back where back.line_id = r.line_id and back.source = 'reversal'
                              and back.source_reference = r.repayment_id::text)
          union all
          select f.business_day from refund f
          where f.line_id = i.line_id and f.loan_id = i.loan_id and i.period = any(f.fell_periods)) fell
    where i.principal_fen = i.principal_paid_fen + i.principal_returned_fen
      and i.interest_fen = i.interest_paid_fen + i.interest_returned_fen
      and i.fee_fen = i.fee_paid_fen + i.fee_returned_fen))
from bill b
where b.line_id = i.line_id and b.due_on = i.due_on and b.told_until is not null and i.origin = 'statement';
