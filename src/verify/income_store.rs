//! Identities of income as SQL: income, costs and money in transit between platform and funder, recomputed from purchases, refunds,
//! repayments, channels' settlements and remittances; and what was paid on each installment, recomputed from repayments.

/// Debits less credits of all accounts of income and cost, and of the transit accounts of money on its way to the funder; the query
/// gets the posted balances as those of [`super::balance_store`] do. A remittance that is paid or comes to zero includes everything
/// that was carried into it. Charges accrue by spans. Billed charges that a refund returned, paid or not, are taken off the income;
/// unpaid ones of a charged-off loan are taken off the loss instead. What a payoff waived after billing was never posted.
pub(super) const INCOME: &str = "
    with recursive passed_on as (
        select remittance_id, funder_id, collected_fen, subsidy_fen, share_fen from remittance where status in ('paid', 'nothing')
        union all
        select r.remittance_id, r.funder_id, r.collected_fen, r.subsidy_fen, r.share_fen
        from passed_on p join remittance r on r.funder_id = p.funder_id and r.carried_into = p.remittance_id),
    paid_by_channels as (
        select coalesce(l.funder_id, '00000000-0000-0000-0000-000000000000') as funder_id, l.line_id,
               case when f.succeeded then f.amount_fen else 0 end as amount_fen, f.cost_fen
        from channel_file c
        join channel_file_line f on f.channel = c.channel and f.business_day = c.business_day
        left join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
        left join credit_line l on l.line_id = w.line_id
        where c.compared_at is not null),
    moved as (
        select p.funder_id, side.account, side.fen
        from settlement_part p
        cross join lateral (values (105, -p.discount_fee_fen), (106, -p.subsidy_fen), (209, -p.subsidy_fen),
                                   (210, p.subsidy_fen)) as side(account, fen)
        union all
        select f.funder_id, side.account, side.fen
        from refund f
        cross join lateral (values (105, f.discount_fee_returned_fen), (106, f.subsidy_returned_fen), (209, f.subsidy_returned_fen),
                                   (205, f.interest_back_fen - f.interest_back_recovered_fen),
                                   (207, f.fee_back_fen - f.fee_back_recovered_fen),
                                   (210, -f.subsidy_returned_fen - f.interest_back_fen - f.fee_back_fen)) as side(account, fen)
        union all
        select r.funder_id, side.account, side.fen
        from passed_on r
        cross join lateral (values (106, r.subsidy_fen), (110, -r.share_fen), (210, -r.collected_fen - r.subsidy_fen),
                                   (212, r.share_fen)) as side(account, fen)
        union all
        select funder_id, 210, amount_fen - excess_fen from repayment
        union all
        select r.funder_id, 208, -a.penalty from repayment r cross join lateral unnest(r.penalty_fen) as a(penalty)
        union all
        select funder_id, 108, cost_fen from paid_by_channels
        union all
        select funder_id, 112, -amount_fen from paid_by_channels where line_id is null
        union all
        select '00000000-0000-0000-0000-000000000000', 112, b.their_fen
        from reconciliation_break b left join withholding w on w.withholding_id = b.withholding_id and w.channel = b.channel
        where b.status = 'corrected' and b.proposed = 'ask_channel' and w.withholding_id is null
        union all
        select funder_id, case charge when 'fee' then 207 else 205 end, -accrued_fen from interest_span
        where charge in ('interest', 'fee')
        union all
        select l.funder_id, side.account, side.fen
        from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
        join schedule s on s.loan_id = l.loan_id and s.line_id = l.line_id and s.version = l.schedule_version
        cross join lateral (values (205, i.interest_returned_fen, i.interest_fen, s.interest_fen[i.period]),
                                   (207, i.fee_returned_fen, i.fee_fen, s.fee_fen[i.period])) as charge(account, returned, billed, planned)
        cross join lateral (values (charge.account, charge.returned - charge.billed + charge.planned)) as side(account, fen)
        where charge.returned > 0
        union all
        select p.funder_id, case leg.credit when 204 then 205 else 207 end, -leg.amount_fen
        from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
        where p.event = 'refund' and leg.debit = 213 and leg.credit in (204, 206)),
    due as (select funder_id, account, sum(fen) as fen from moved group by funder_id, account),
    booked as (
        select b.funder_id, b.account, b.fen from unnest($1::uuid[], $2::smallint[], $3::bigint[]) as b(funder_id, account, fen)
        where b.account in (105, 106, 108, 110, 112, 205, 207, 208, 209, 210, 212))
    select coalesce(due.funder_id, booked.funder_id) || ' account ' || coalesce(due.account, booked.account) as subject,
           coalesce(due.fen, 0) as expected, coalesce(booked.fen, 0) as found
    from due full join booked on booked.funder_id = due.funder_id and booked.account = due.account
    where coalesce(due.fen, 0) <> coalesce(booked.fen, 0)";

/// Interest and fees of each loan's schedule, as it was at the last close that gathered spans, compared with the spans; and spans whose
/// accrued amount differs from what ran by that close. All other checks of charges build on the spans.
pub(super) const SPANS: &str = "
    with closed as (select business_day from close_chunk where step = 'interest' and done_at is not null),
    planned as (
        select l.product_id, sum(charged.interest)::bigint as interest, sum(charged.fee)::bigint as fee
        from (select line_id, loan_id, max(version) as version from schedule
              where business_day in (select business_day from closed) group by line_id, loan_id) gathered
        join schedule s on s.line_id = gathered.line_id and s.loan_id = gathered.loan_id and s.version = gathered.version
        join loan l on l.line_id = s.line_id and l.loan_id = s.loan_id
        cross join lateral (select sum(a.interest) as interest, sum(a.fee) as fee
                            from unnest(s.interest_fen, s.fee_fen) as a(interest, fee)) charged
        where l.status <> 'voided' group by l.product_id),
    spanned as (
        select product_id, sum(case when charge in ('interest', 'suspended_interest') then amount_fen end)::bigint as interest,
               sum(case when charge in ('fee', 'suspended_fee') then amount_fen end)::bigint as fee
        from interest_span group by product_id)
    select coalesce(planned.product_id, spanned.product_id) || ' ' || charge.name as subject, coalesce(charge.planned, 0) as expected,
           coalesce(charge.spanned, 0) as found
    from planned full join spanned on spanned.product_id = planned.product_id
    cross join lateral (values ('interest', planned.interest, spanned.interest), ('fee', planned.fee, spanned.fee))
                       as charge(name, planned, spanned)
    where coalesce(charge.planned, 0) <> coalesce(charge.spanned, 0)
    union all
    select product_id || ' ' || charge || ' from ' || from_on || ' until ' || to_on, due.fen, accrued_fen
    from interest_span
    cross join (select max(business_day) as day from closed) ended
    cross join lateral (values (round(amount_fen::numeric * least(greatest(ended.day - from_on, 0), to_on - from_on)
                                      / (to_on - from_on))::bigint)) as due(fen)
    where accrued_fen <> due.fen";

/// What refunds gave back to cards of paid interest and fees, by loan. Installments name returned principal only if interest is
/// returned with it.
pub(super) const GIVEN_BACK: &str = "
    select coalesce(stands.loan_id, told.loan_id) || ' ' || side.name as subject, coalesce(side.told, 0) as expected,
           coalesce(side.stands, 0) as found
    from (select line_id, loan_id, sum(interest_back_fen)::bigint as interest, sum(fee_back_fen)::bigint as fee
          from bill_line where interest_back_fen + fee_back_fen > 0 group by line_id, loan_id) stands
    full join (select line_id, loan_id, sum(interest_back_fen)::bigint as interest, sum(fee_back_fen)::bigint as fee
               from refund where interest_back_fen + fee_back_fen > 0 group by line_id, loan_id) told
         on told.line_id = stands.line_id and told.loan_id = stands.loan_id
    cross join lateral (values ('interest', told.interest, stands.interest), ('fee', told.fee, stands.fee)) as side(name, told, stands)
    where coalesce(side.told, 0) <> coalesce(side.stands, 0)
    union all
    select stands.loan_id || ' principal', coalesce(told.fen, 0), stands.fen
    from (select line_id, loan_id, sum(principal_back_fen)::bigint as fen
          from bill_line where principal_back_fen > 0 group by line_id, loan_id) stands
    left join (select line_id, loan_id, sum(owed_back_fen)::bigint as fen from refund group by line_id, loan_id) told
         on told.line_id = stands.line_id and told.loan_id = stands.loan_id
    where stands.fen > coalesce(told.fen, 0)";

/// What refunds say that they took off billed installments and gave back of what was paid on them. It may be less than the installments
/// have, because of early refunds, which did not say it yet, and payoffs, which waive charges.
pub(super) const FELL: &str = "
    select told.line_id || ' loan ' || told.loan_id || ' period ' || told.period || ' ' || side.name as subject, side.told as expected,
           side.stands as found
    from (select f.line_id, f.loan_id, part.period, sum(part.principal)::bigint as principal, sum(part.interest)::bigint as interest,
                 sum(part.fee)::bigint as fee, sum(part.interest_back)::bigint as interest_back, sum(part.fee_back)::bigint as fee_back
          from refund f
          cross join lateral unnest(f.fell_periods, f.fell_principal_fen, f.fell_interest_fen, f.fell_fee_fen, f.back_interest_fen,
                                    f.back_fee_fen) as part(period, principal, interest, fee, interest_back, fee_back)
          group by f.line_id, f.loan_id, part.period) told
    left join bill_line i on i.line_id = told.line_id and i.loan_id = told.loan_id and i.period = told.period
    cross join lateral (values ('principal', told.principal, coalesce(i.principal_returned_fen, 0)),
                               ('interest', told.interest, coalesce(i.interest_returned_fen, 0)),
                               ('fee', told.fee, coalesce(i.fee_returned_fen, 0)),
                               ('interest back', told.interest_back, coalesce(i.interest_back_fen, 0)),
                               ('fee back', told.fee_back, coalesce(i.fee_back_fen, 0))) as side(name, told, stands)
    where side.told > side.stands";

/// What orders collected, compared both ways with what is booked for them: money of an order that is pending or counts as failed would
/// be collected once more, whatever amount the order names.
pub(super) const COLLECTED: &str = "
    select coalesce(w.withholding_id::text, r.source_reference) as subject, coalesce(w.collected_fen, 0) as expected,
           coalesce(r.amount_fen, 0) as found
    from (select withholding_id, line_id, case status when 'succeeded' then collected_fen else 0 end as collected_fen
          from withholding where collected_fen > 0) w
    full join (select line_id, source_reference, amount_fen from repayment_now where source = 'withholding' and amount_fen <> 0) r
         on r.line_id = w.line_id and r.source_reference = w.withholding_id::text
    where coalesce(w.collected_fen, 0) <> coalesce(r.amount_fen, 0)";

/// Every part of every installment, so that the errors of two parts cannot cancel out.
pub(super) const PAID_INSTALLMENTS: &str = "
    select coalesce(paid.loan_id, given.loan_id) || ' line ' || coalesce(paid.line_id, given.line_id) || ' period '
               || coalesce(paid.period, given.period) || ' ' || part.name as subject,
           coalesce(part.given, 0) as expected, coalesce(part.paid, 0) as found
    from bill_line paid
    full join (select r.line_id, a.loan_id, a.period, sum(a.principal)::bigint as principal, sum(a.interest)::bigint as interest,
                      sum(a.fee)::bigint as fee, sum(a.penalty)::bigint as penalty
               from repayment r
               cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                          as a(loan_id, period, principal, interest, fee, penalty)
               group by r.line_id, a.loan_id, a.period) given
         on given.line_id = paid.line_id and given.loan_id = paid.loan_id and given.period = paid.period
    cross join lateral (values ('principal', given.principal, paid.principal_paid_fen), ('interest', given.interest, paid.interest_paid_fen),
                               ('fee', given.fee, paid.fee_paid_fen), ('penalty', given.penalty, paid.penalty_paid_fen))
               as part(name, given, paid)
    where coalesce(part.given, 0) <> coalesce(part.paid, 0)";
