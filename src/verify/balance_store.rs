//! Balances of accounts by funder, as SQL: the balance computed from the rows of events, compared with the posted one. Each query gets
//! the posted balances as `$1` (funders), `$2` (accounts) and `$3` (debits less credits, in fen).

/// Finds the funders whose balance (debits less credits) of `$account` differs from the sum of `$moved`, a query for `funder_id` and
/// `fen` with one row for each event that moves the account.
macro_rules! balance {
    ($account:literal, $moved:literal) => {
        concat!(
            "select coalesce(due.funder_id, booked.funder_id) as subject, coalesce(due.fen, 0) as expected,
                    coalesce(booked.fen, 0) as found
             from (select funder_id, sum(fen) as fen from (",
            $moved,
            ") moved group by funder_id) due
             full join (select b.funder_id, b.fen from unnest($1::uuid[], $2::smallint[], $3::bigint[]) as b(funder_id, account, fen)
                        where b.account = ",
            $account,
            ") booked on booked.funder_id = due.funder_id
             where coalesce(due.fen, 0) <> coalesce(booked.fen, 0)"
        )
    };
}

/// Compared line by line: in sums by funder, the errors of two borrowers could cancel out.
pub(super) const LOAN_PRINCIPAL: &str = "
    select coalesce(owed.line_id, booked.line_id) as subject, coalesce(owed.fen, 0) as expected, coalesce(booked.fen, 0) as found
    from (select line_id, funder_id, sum(principal_fen - principal_paid_fen - principal_returned_fen) as fen
          from loan where status in ('open', 'paid', 'refunded') group by line_id, funder_id) owed
    full join (select p.line_id, p.funder_id, sum(case leg.debit when 201 then leg.amount_fen else -leg.amount_fen end) as fen
               from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               where leg.debit = 201 or leg.credit = 201 group by p.line_id, p.funder_id) booked
         on booked.line_id = owed.line_id and booked.funder_id = owed.funder_id
    where coalesce(owed.fen, 0) <> coalesce(booked.fen, 0)";

/// Cash leaves a funder's book by deposits to its reserve, and comes in by withdrawals, remittances and guarantors' payments.
pub(super) const RESERVES: &str = "
    select r.funder_id || ' account ' || kept.account as subject, kept.fen as expected, coalesce(b.fen, 0) as found
    from reserve_now r
    left join (select funder_id, sum(payable_fen)::bigint as fen from remittance where status = 'paid' group by funder_id) paid
         on paid.funder_id = r.funder_id
    left join (select funder_id, sum(principal_fen + interest_fen + fee_fen + penalty_fen)::bigint as fen
               from claim where status = 'paid' group by funder_id) claimed on claimed.funder_id = r.funder_id
    cross join lateral (values (102, -r.available_fen), (103, -r.held_fen), (202, -r.held_fen),
                               (203, r.available_fen + r.held_fen),
                               (211, r.withdrawn_fen - r.deposited_fen + coalesce(paid.fen, 0) + coalesce(claimed.fen, 0)))
                       as kept(account, fen)
    left join unnest($1::uuid[], $2::smallint[], $3::bigint[]) as b(funder_id, account, fen)
         on b.funder_id = r.funder_id and b.account = kept.account
    where kept.fen <> coalesce(b.fen, 0)";

/// Each part of a settlement is payable until the settlement is paid or comes to zero; what was carried into it is paid with it. A
/// refund is booked at once, and becomes part of a settlement once its day is cleared.
pub(super) const MERCHANT_PAYABLE: &str = balance!(
    104,
    "select p.funder_id,
            case when s.status in ('paid', 'nothing') then p.carried_in_fen
                 else p.refunds_fen + p.discount_fee_fen - p.discount_returned_fen + p.subsidy_fen - p.subsidy_returned_fen
                      - p.gross_fen end as fen
     from settlement s join settlement_part p on p.settlement_id = s.settlement_id
     union all
     select funder_id, amount_fen - discount_fee_returned_fen - subsidy_returned_fen from refund
     where business_day not in (select business_day from close_chunk where step = 'clearing' and done_at is not null)"
);

/// What was collected through channels and not reversed, less what their compared files pay for our orders and what people settled with
/// them.
pub(super) const CHANNEL_RECEIVABLE: &str = balance!(
    107,
    "select funder_id, amount_fen as fen from repayment_now where source in ('withholding', 'channel_file')
     union all
     select l.funder_id, -f.amount_fen
     from channel_file c
     join channel_file_line f on f.channel = c.channel and f.business_day = c.business_day
     join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
     join credit_line l on l.line_id = w.line_id
     where c.compared_at is not null and f.succeeded
     union all
     select l.funder_id, -b.settled_fen
     from reconciliation_break b
     join withholding w on w.withholding_id = b.withholding_id and w.channel = b.channel
     join credit_line l on l.line_id = w.line_id
     where b.settled_fen <> 0"
);

/// What was collected and not given back by refunds, less what was remitted. A remittance that is paid or comes to zero includes
/// everything that was carried into it.
pub(super) const COLLECTIONS_PAYABLE: &str = balance!(
    109,
    "select funder_id, excess_fen - amount_fen as fen from repayment
     union all
     select funder_id, interest_back_fen + fee_back_fen from refund
     union all
     select funder_id, collected_fen
     from (with recursive passed_on as (
               select remittance_id, funder_id, collected_fen from remittance where status in ('paid', 'nothing')
               union all
               select r.remittance_id, r.funder_id, r.collected_fen
               from passed_on p join remittance r on r.funder_id = p.funder_id and r.carried_into = p.remittance_id)
           select funder_id, collected_fen from passed_on) remitted"
);

pub(super) const BORROWER_PAYABLE: &str = balance!(
    111,
    "select funder_id, -amount_fen as fen from payout where kind = 'borrower' and status not in ('succeeded', 'cancelled')"
);

pub(super) const INTEREST_RECEIVABLE: &str = balance!(
    204,
    "select funder_id, accrued_fen as fen from interest_span where charge in ('interest', 'suspended_interest')
     union all
     select r.funder_id, -a.interest from repayment r cross join lateral unnest(r.interest_fen) as a(interest)
     union all
     -- What a payoff waived after billing left the schedule too, and so was never posted.
     select l.funder_id, i.interest_fen - s.interest_fen[i.period] - i.interest_returned_fen
     from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
     join schedule s on s.loan_id = l.loan_id and s.line_id = l.line_id and s.version = l.schedule_version
     where i.interest_returned_fen > 0"
);

pub(super) const FEE_RECEIVABLE: &str = balance!(
    206,
    "select funder_id, accrued_fen as fen from interest_span where charge in ('fee', 'suspended_fee')
     union all
     select r.funder_id, -a.fee from repayment r cross join lateral unnest(r.fee_fen) as a(fee)
     union all
     -- What a payoff waived after billing left the schedule too, and so was never posted.
     select l.funder_id, i.fee_fen - s.fee_fen[i.period] - i.fee_returned_fen
     from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
     join schedule s on s.loan_id = l.loan_id and s.line_id = l.line_id and s.version = l.schedule_version
     where i.fee_returned_fen > 0"
);

/// On charged-off loans: unpaid principal, the charges that had fallen due by the charge-off, and all that has accrued since, less paid
/// and returned charges, and less what guarantors have paid and did not get back. What a payoff waived after billing left the schedule
/// too, and so was never receivable.
pub(super) const CHARGED_OFF: &str = balance!(
    213,
    "select c.funder_id, l.principal_paid_fen + l.principal_returned_fen - l.principal_fen as fen
     from charge_off c join loan l on l.loan_id = c.loan_id and l.line_id = c.line_id
     union all
     select c.funder_id, l.claim_paid_fen - l.claim_recovered_fen
     from charge_off c join loan l on l.loan_id = c.loan_id and l.line_id = c.line_id
     union all
     select c.funder_id, -a.interest_fen - a.fee_fen
     from charge_off c
     join schedule s on s.line_id = c.line_id and s.loan_id = c.loan_id and s.version = c.schedule_version
     cross join lateral unnest(s.due_on, s.interest_fen, s.fee_fen) as a(due_on, interest_fen, fee_fen)
     where a.due_on <= c.business_day
     union all
     select funder_id, -accrued_fen from interest_span where charge in ('suspended_interest', 'suspended_fee')
     union all
     select c.funder_id, i.interest_paid_fen + i.interest_returned_fen - i.interest_fen + s.interest_fen[i.period]
                         + i.fee_paid_fen + i.fee_returned_fen - i.fee_fen + s.fee_fen[i.period]
     from charge_off c
     join bill_line i on i.line_id = c.line_id and i.loan_id = c.loan_id
     join loan l on l.loan_id = c.loan_id and l.line_id = c.line_id
     join schedule s on s.line_id = c.line_id and s.loan_id = c.loan_id and s.version = l.schedule_version"
);

pub(super) const CLAIMS_RECEIVED: &str =
    balance!(216, "select funder_id, claim_recovered_fen - claim_paid_fen as fen from loan where claim_paid_fen > 0");

/// What came in for guarantors stays payable to them: the platform makes no payments to guarantors, and knows of none.
pub(super) const GUARANTOR_PAYABLE: &str = balance!(
    217,
    "select l.funder_id, -r.amount_fen as fen from recourse r join loan l on l.loan_id = r.loan_id and l.line_id = r.line_id"
);

/// What is payable to somebody outside from the bank, compared with the payouts for it, each to be paid exactly once. Both name the
/// bank's reference of the payment; for a payment to a card, only the payout does.
pub(super) const PAYMENTS: &str = "
    select coalesce(owed.kind, p.kind) || ' ' || coalesce(owed.source_id, p.source_id) as subject, coalesce(owed.fen, 0) as expected,
           case when (p.status = 'succeeded') <> owed.is_paid or owed.is_paid and owed.reference is distinct from p.bank_reference
                then 0 else coalesce(p.amount_fen, 0) end as found
    from (select 'settlement' as kind, settlement_id as source_id, payable_fen as fen, status = 'paid' as is_paid,
                 bank_reference as reference
          from settlement where status in ('to_pay', 'paid')
          union all
          select 'remittance', remittance_id, payable_fen, status = 'paid', bank_reference
          from remittance where status in ('to_pay', 'paid')
          union all
          select 'borrower', repayment_id, excess_fen, null, null from repayment where excess_fen > 0
          union all
          select 'borrower', refund_id, owed_back_fen + interest_back_fen + fee_back_fen, null, null
          from refund where owed_back_fen + interest_back_fen + fee_back_fen > 0) owed
    full join payout p on p.kind = owed.kind and p.source_id = owed.source_id
    where coalesce(owed.fen, 0) <> coalesce(p.amount_fen, 0) or (p.status = 'succeeded') <> owed.is_paid
       or owed.is_paid and owed.reference is distinct from p.bank_reference";

/// A transfer counts unless it was taken back. Money of orders that are not ours belongs to the platform, whose id is nil: it came with
/// the channel's file, and leaves when two people have sent it back.
pub(super) const BANK: &str = balance!(
    101,
    "select funder_id, deposited_fen - withdrawn_fen as fen from reserve
     union all
     select funder_id, amount_fen from repayment_now where source = 'transfer'
     union all
     select coalesce(l.funder_id, '00000000-0000-0000-0000-000000000000'),
            case when f.succeeded then f.amount_fen else 0 end - f.cost_fen
     from channel_file c
     join channel_file_line f on f.channel = c.channel and f.business_day = c.business_day
     left join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
     left join credit_line l on l.line_id = w.line_id
     where c.compared_at is not null
     union all
     select coalesce(l.funder_id, '00000000-0000-0000-0000-000000000000'),
            case when w.withholding_id is null then -b.their_fen else b.settled_fen end
     from reconciliation_break b
     left join withholding w on w.withholding_id = b.withholding_id and w.channel = b.channel
     left join credit_line l on l.line_id = w.line_id
     where b.status = 'corrected' and (b.proposed = 'ask_channel' or b.settled_fen <> 0)
     union all
     select p.funder_id, p.refunds_fen + p.discount_fee_fen - p.discount_returned_fen + p.subsidy_fen - p.subsidy_returned_fen
                         - p.gross_fen - p.carried_in_fen
     from settlement s join settlement_part p on p.settlement_id = s.settlement_id
     where s.status in ('paid', 'nothing')
     union all
     select funder_id, -payable_fen from remittance where status = 'paid'
     union all
     select funder_id, -amount_fen from payout where kind = 'borrower' and status = 'succeeded'"
);
