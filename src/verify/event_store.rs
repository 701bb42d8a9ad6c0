//! Events one by one, as SQL: each compared with its own posting, its own payment and the rows that name it. In sums by funder two
//! errors could cancel out.

/// Purchases and voids are compared by the booked debt, refunds by what the merchant gives back, repayments by what came in; each on
/// its own line and its own day, so that nothing is booked to another line or another day.
pub(super) const POSTED: &str = "
    select coalesce(made.event, posted.event) || ' ' || coalesce(made.source_id, posted.source_id) || ' line '
               || coalesce(made.line_id, posted.line_id) as subject,
           coalesce(made.fen, 0) as expected, coalesce(posted.fen, 0) as found
    from (select 'purchase' as event, line_id, purchase_id as source_id, business_day, amount_fen as fen
          from purchase where status <> 'refused'
          union all
          select 'void', line_id, purchase_id, business_day, amount_fen from purchase where status = 'voided'
          union all
          select 'refund', line_id, refund_id, business_day, amount_fen from refund
          union all
          select case source when 'reversal' then 'repayment_reversed' else 'repayment' end, line_id, repayment_id, business_day,
                 amount_fen
          from repayment) made
    full join (select p.event, p.line_id, p.source_id, p.business_day,
                      sum(leg.amount_fen * case p.event when 'purchase' then (leg.debit = 201)::int
                                                        when 'void' then (leg.credit = 201)::int
                                                        when 'refund' then (leg.debit = 104)::int
                                                        else (leg.debit in (101, 107))::int - (leg.credit in (101, 107))::int end)::bigint
                          as fen
               from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               where p.event in ('purchase', 'void', 'refund', 'repayment', 'repayment_reversed')
               group by p.event, p.line_id, p.source_id, p.business_day) posted
         on posted.event = made.event and posted.line_id = made.line_id and posted.source_id = made.source_id
            and posted.business_day = made.business_day
    where coalesce(made.fen, 0) <> coalesce(posted.fen, 0)";

/// A repayment that is not booked at all is found by [`POSTED`]. In sums by funder and day, interest of one repayment and penalty of
/// another one could be exchanged.
pub(super) const PARTS: &str = "
    select r.repayment_id || ' line ' || r.line_id || ' ' || part.name as subject, coalesce(part.told, 0) as expected,
           part.booked as found
    from repayment r
    cross join lateral (select sum(a.principal)::bigint as principal, sum(a.interest)::bigint as interest, sum(a.fee)::bigint as fee,
                               sum(a.penalty)::bigint as penalty
                        from unnest(r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                             as a(principal, interest, fee, penalty)) taken
    join (select p.line_id, p.source_id,
                 sum(leg.amount_fen * ((leg.credit = 201)::int - (leg.debit = 201)::int))::bigint as principal,
                 sum(leg.amount_fen * ((leg.credit = 204)::int - (leg.debit = 204)::int))::bigint as interest,
                 sum(leg.amount_fen * ((leg.credit = 206)::int - (leg.debit = 206)::int))::bigint as fee,
                 sum(leg.amount_fen * ((leg.credit = 208)::int - (leg.debit = 208)::int))::bigint as penalty
          from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
          where p.event in ('repayment', 'repayment_reversed') group by p.line_id, p.source_id) booked
         on booked.line_id = r.line_id and booked.source_id = r.repayment_id
    cross join lateral (values ('principal', taken.principal, booked.principal), ('interest', taken.interest, booked.interest),
                               ('fee', taken.fee, booked.fee), ('penalty', taken.penalty, booked.penalty))
                       as part(name, told, booked)
    where coalesce(part.told, 0) <> part.booked";

/// A payment that its channel denied later was reversed, and counts as not paid. A settlement is compared part by part, since each part
/// is one funder's; a remittance together with what was carried into it.
pub(super) const PAID: &str = "
    select coalesce(paid.source_id, posted.source_id) || ' funder ' || coalesce(paid.funder_id, posted.funder_id) as subject,
           coalesce(paid.fen, 0) as expected, coalesce(posted.fen, 0) as found
    from (select p.settlement_id as source_id, p.funder_id,
                 p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen - p.subsidy_fen + p.subsidy_returned_fen
                     + p.carried_in_fen as fen
          from settlement s join settlement_part p on p.settlement_id = s.settlement_id where s.status in ('paid', 'nothing')
          union all
          select remittance_id, funder_id, payable_fen from remittance where status = 'paid'
          union all
          select payout_id, funder_id, amount_fen from payout where kind = 'borrower' and status = 'succeeded') paid
    full join (select p.source_id, p.funder_id,
                      sum(leg.amount_fen * ((leg.debit in (104, 111, 211))::int - (leg.credit in (104, 111, 211))::int))::bigint as fen
               from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               where p.event in ('settlement_paid', 'remittance_paid', 'borrower_paid', 'payout_reversed')
               group by p.source_id, p.funder_id) posted
         on posted.source_id = paid.source_id and posted.funder_id = paid.funder_id
    where coalesce(paid.fen, 0) <> coalesce(posted.fen, 0)";

/// The amount of a payment may be right although it goes to another merchant, funder or card.
pub(super) const PAYEES: &str = "
    select p.kind || ' ' || p.source_id as subject, 1 as expected, 0 as found
    from payout p
    left join settlement s on s.settlement_id = p.source_id and p.kind = 'settlement'
    left join remittance r on r.remittance_id = p.source_id and p.kind = 'remittance'
    left join (select refund_id as source_id, line_id from refund union all select repayment_id, line_id from repayment) back
         on back.source_id = p.source_id and p.kind = 'borrower'
    left join credit_line l on l.line_id = p.line_id and p.kind = 'borrower'
    where p.beneficiary_id is distinct from case p.kind when 'settlement' then s.merchant_id when 'remittance' then r.funder_id
                                                        else l.borrower_id end
       or p.kind = 'borrower' and (back.line_id, l.funder_id) is distinct from (p.line_id, p.funder_id)";

/// What belongs to a line must be in the book of that line's funder, and orders must take money from cards of that line's borrower.
pub(super) const OWNERS: &str = "
    select owned.kind || ' ' || owned.id as subject, 1 as expected, 0 as found
    from (select 'loan' as kind, loan_id as id, line_id, funder_id, null::uuid as borrower_id from loan
          union all
          select 'repayment', repayment_id, line_id, funder_id, null from repayment
          union all
          select 'refund', refund_id, line_id, funder_id, null from refund
          union all
          select 'claim', claim_id, line_id, funder_id, null from claim
          union all
          select 'charge-off', loan_id, line_id, funder_id, null from charge_off
          union all
          select 'withholding', withholding_id, line_id, null, borrower_id from withholding) owned
    left join credit_line l on l.line_id = owned.line_id
    where l.line_id is null or owned.funder_id <> l.funder_id or owned.borrower_id <> l.borrower_id";

/// A purchase and its loan must agree: settlements and remittances use loans, merchants' pages and refunds use purchases.
pub(super) const SOLD: &str = "
    select l.loan_id as subject, 1 as expected, 0 as found
    from loan l left join purchase p on p.purchase_id = l.purchase_id and p.line_id = l.line_id
    where (p.loan_id, p.merchant_id, p.product_id, p.product_version, p.periods, p.amount_fen, p.status)
          is distinct from (l.loan_id, l.merchant_id, l.product_id, l.product_version, l.periods, l.principal_fen,
                            case l.status when 'voided' then 'voided' else 'authorised' end)";

pub(super) const FALLEN: &str = "
    select l.loan_id as subject, coalesce(told.fen, 0) as expected, l.principal_returned_fen as found
    from loan l
    left join (select line_id, loan_id, sum(principal_fell_fen)::bigint as fen from refund group by line_id, loan_id) told
         on told.line_id = l.line_id and told.loan_id = l.loan_id
    where l.principal_returned_fen <> coalesce(told.fen, 0)";

pub(super) const PLANS: &str = "
    select l.loan_id as subject, coalesce(plan.last_no, 0) as expected,
           case when l.schedule_version = plan.last_no then plan.plans else l.schedule_version end as found
    from loan l
    left join (select line_id, loan_id, max(version) as last_no, count(*) as plans from schedule group by line_id, loan_id) plan
         on plan.line_id = l.line_id and plan.loan_id = l.loan_id
    where l.schedule_version is distinct from plan.last_no or plan.plans <> plan.last_no";

/// A refund reduces a plan and adds nothing to it: no row asks for more than before, or on another day. The total reduction is checked
/// loan by loan elsewhere; here, that nothing was moved to another row.
pub(super) const REDUCED: &str = "
    select s.loan_id || ' version ' || s.version || ' period ' || a.period as subject,
           a.principal_before + a.interest_before + a.fee_before as expected, a.principal + a.interest + a.fee as found
    from schedule s
    join schedule b on b.line_id = s.line_id and b.loan_id = s.loan_id and b.version = s.version - 1
    cross join lateral unnest(s.due_on, s.principal_fen, s.interest_fen, s.fee_fen,
                              b.due_on, b.principal_fen, b.interest_fen, b.fee_fen) with ordinality
               as a(due_on, principal, interest, fee, due_before, principal_before, interest_before, fee_before, period)
    where s.reason = 'refund'
      and (a.due_on is distinct from a.due_before or a.principal > a.principal_before or a.interest > a.interest_before
           or a.fee > a.fee_before)";

/// Compared both ways: a transfer without a bank reference could be booked once more.
pub(super) const TRANSFERS: &str = "
    select coalesce(r.source_reference, t.bank_reference) as subject, 1 as expected, 0 as found
    from (select line_id, repayment_id, source_reference from repayment where source = 'transfer') r
    full join transfer_by_bank_reference t on t.line_id = r.line_id and t.repayment_id = r.repayment_id
    where t.bank_reference is distinct from r.source_reference";

/// Money of orders that are not ours is left out: it was booked in one posting for each file, and goes back order by order.
pub(super) const CORRECTIONS: &str = "
    with correction as (select posting_id, line_id, corrects from posting where corrects is not null and event <> 'suspense_returned')
    select c.posting_id || ' corrects ' || c.corrects as subject, 1 as expected, 0 as found
    from correction c
    where not exists (select from posting p where p.posting_id = c.corrects and p.line_id = c.line_id)
    union all
    select corrects || ' corrected', 1, count(*) from correction group by corrects having count(*) > 1";

/// Postings without a line: each settlement's part when it was cleared, a funder's deposits and withdrawals of a day, what people
/// settled with a channel or gave back to it over a break, and what a product's spans have earned. A pair of accounts is named with the
/// lower number first; the amount is negative if money went from the lower to the higher one.
pub(super) const MOVED: &str = "
    select coalesce(made.event, booked.event) || ' ' || coalesce(made.source, booked.source) || ' funder '
               || coalesce(made.funder_id, booked.funder_id) || ' ' || coalesce(made.lower, booked.lower) || '/'
               || coalesce(made.higher, booked.higher) as subject,
           coalesce(made.fen, 0) as expected, coalesce(booked.fen, 0) as found
    from (select event, source, funder_id, lower, higher, sum(fen)::bigint as fen
          from (select 'clearing' as event, p.settlement_id::text as source, p.funder_id, side.lower, side.higher, side.fen
                from settlement_part p
                cross join lateral (values (103, 104, p.gross_fen), (104, 105, p.discount_fee_fen), (104, 106, p.subsidy_fen),
                                           (202, 203, p.gross_fen), (209, 210, -p.subsidy_fen)) as side(lower, higher, fen)
                union all
                select e.kind, e.business_day::text, e.funder_id, side.lower, side.higher,
                       case e.kind when 'deposit' then e.amount_fen else -e.amount_fen end
                from reserve_entry e cross join (values (101, 102), (203, 211)) as side(lower, higher)
                where e.kind in ('deposit', 'withdrawal')
                union all
                select 'break_settled', b.break_id::text, l.funder_id, 101, 107, b.settled_fen
                from reconciliation_break b
                join withholding w on w.withholding_id = b.withholding_id and w.channel = b.channel
                join credit_line l on l.line_id = w.line_id
                where b.settled_fen <> 0
                union all
                select 'suspense_returned', b.break_id::text, '00000000-0000-0000-0000-000000000000', 101, 112, -b.their_fen
                from reconciliation_break b
                left join withholding w on w.withholding_id = b.withholding_id and w.channel = b.channel
                where b.status = 'corrected' and b.proposed = 'ask_channel' and w.withholding_id is null
                union all
                select 'interest', product_id::text, funder_id, case when charge in ('fee', 'suspended_fee') then 206 else 204 end,
                       case charge when 'interest' then 205 when 'fee' then 207 else 213 end, accrued_fen
                from interest_span) moved
          group by event, source, funder_id, lower, higher) made
    full join (select p.event, named.source, p.funder_id, pair.lower, pair.higher,
                      sum(case when leg.debit = pair.lower then leg.amount_fen else -leg.amount_fen end)::bigint as fen
               from posting p
               cross join lateral (values (case when p.event in ('deposit', 'withdrawal') then p.business_day::text
                                                when p.event in ('clearing', 'interest') then p.source_id::text
                                                else p.posting_id::text end)) as named(source)
               cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               cross join lateral (values (least(leg.debit, leg.credit)::int, greatest(leg.debit, leg.credit)::int))
                                  as pair(lower, higher)
               where p.event in ('clearing', 'deposit', 'withdrawal', 'break_settled', 'suspense_returned', 'interest')
               group by p.event, named.source, p.funder_id, pair.lower, pair.higher) booked
         on booked.event = made.event and booked.source = made.source and booked.funder_id = made.funder_id
            and booked.lower = made.lower and booked.higher = made.higher
    where coalesce(made.fen, 0) <> coalesce(booked.fen, 0)";

/// An order whose money was booked before under the same reference names that entry. Entries without an order are the platform's own.
pub(super) const RESERVE_ORDERS: &str = "
    select o.kind || ' ' || o.order_id as subject, o.amount_fen as expected, coalesce(e.amount_fen, 0) as found
    from reserve_order o
    left join reserve_entry e on e.funder_id = o.funder_id and e.kind = o.kind and e.source = o.reference
    where o.status = 'booked' and o.amount_fen is distinct from e.amount_fen";

/// Settlements use the merchant of purchases and refunds, so no other row may name another merchant. What was bought by a code is of
/// the code's merchant.
pub(super) const MERCHANTS: &str = "
    select 'refund ' || r.refund_id as subject, 1 as expected, 0 as found
    from refund r left join purchase p on p.purchase_id = r.purchase_id and p.line_id = r.line_id
    where (r.merchant_id, r.loan_id) is distinct from (p.merchant_id, p.loan_id)
    union all
    select 'purchase ' || p.purchase_id, 1, 0
    from purchase p join merchant_code c on c.code_id = p.code_id
    where p.status <> 'refused' and c.merchant_id <> p.merchant_id";
