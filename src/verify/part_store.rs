//! Identities of sums and their parts, as SQL: days of the ledger, settlements, remittances, channels' files; orders and refunds
//! compared with their effects. Parts are compared one by one, since two wrong ones may have the right sum.

/// The debits and credits of each day: a posting with the date of another day is found on both days.
pub(super) const LEDGER_DAYS: &str = "
    select coalesce(posted.business_day, summed.business_day) || ' funder ' || coalesce(posted.funder_id, summed.funder_id)
               || ' account ' || coalesce(posted.account, summed.account) || ' ' || side.name as subject,
           coalesce(side.posted, 0) as expected, coalesce(side.summed, 0) as found
    from (select p.business_day, p.funder_id, side.account, sum(side.debit) as debit, sum(side.credit) as credit
          from posting p
          cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
          cross join lateral (values (leg.debit, leg.amount_fen, 0), (leg.credit, 0, leg.amount_fen)) as side(account, debit, credit)
          where p.business_day in (select business_day from close_run where finished_at is not null)
          group by p.business_day, p.funder_id, side.account) posted
    full join (select business_day, funder_id, account, debit_fen, credit_fen from ledger_day
               where business_day in (select business_day from close_run where finished_at is not null)) summed
         on summed.business_day = posted.business_day and summed.funder_id = posted.funder_id and summed.account = posted.account
    cross join lateral (values ('debit', posted.debit, summed.debit_fen), ('credit', posted.credit, summed.credit_fen))
                       as side(name, posted, summed)
    where coalesce(side.posted, 0) <> coalesce(side.summed, 0)";

/// A day that was never closed has no sums to compare, so it is found here. In `expected` and `found`, days are numbers such as
/// 20260302.
pub(super) const CLOSES: &str = "
    select r.business_day || ' next' as subject, to_char(r.business_day + 1, 'YYYYMMDD')::bigint as expected,
           to_char(r.next_day, 'YYYYMMDD')::bigint as found
    from (select business_day, lead(business_day) over (order by business_day) as next_day from close_run) r
    where r.next_day <> r.business_day + 1
    union all
    select c.business_day || ' ' || c.step || ' left', 0, count(*)
    from close_chunk c join close_run r on r.business_day = c.business_day
    where r.finished_at is not null and c.done_at is null group by c.business_day, c.step";

/// No row has a balance of losses and recoveries, so each leg on their accounts is compared with the events that may book it. Few
/// postings have such legs, and only those are expanded.
pub(super) const LOSSES: &str = "
    select p.posting_id || ' ' || p.event as subject, 0 as expected, leg.amount_fen as found
    from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
    where (p.debit && '{214,215}'::smallint[] or p.credit && '{214,215}'::smallint[])
      and (leg.debit in (214, 215) or leg.credit in (214, 215))
      and (p.event, leg.debit, leg.credit) not in (
          ('charge_off', 214, 213), ('charge_off', 213, 214), ('repayment', 213, 215), ('repayment_reversed', 215, 213),
          ('repayment_reversed', 214, 213), ('refund', 213, 215), ('refund', 215, 210), ('claim_paid', 213, 215),
          ('claim_reversed', 214, 213), ('claim_reversed', 213, 215), ('claim_reversed', 215, 213),
          -- Where penalty, which is no receivable, goes to a guarantor.
          ('repayment', 215, 213), ('repayment_reversed', 213, 215), ('repayment_reversed', 213, 214), ('refund', 215, 213))";

/// What guarantors had paid is no loss. Which charges are charged off depends on whether they had fallen due by that day.
pub(super) const CHARGE_OFF: &str = "
    select coalesce(c.loan_id, posted.source_id) as subject, coalesce(c.lost, 0) as expected, coalesce(posted.fen, 0) as found
    from (select *, principal_fen + interest_fen + fee_fen - covered_fen as lost from charge_off) c
    full join (select p.posting_id, p.line_id, p.source_id, p.business_day,
                      sum(case when leg.debit = 214 and leg.credit = 213 then leg.amount_fen
                               when leg.debit = 213 and leg.credit = 214 then -leg.amount_fen end) as fen
               from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               where p.event = 'charge_off' group by p.posting_id, p.line_id, p.source_id, p.business_day) posted
         on posted.posting_id = c.posting_id and posted.line_id = c.line_id and posted.source_id = c.loan_id
            and posted.business_day = c.business_day
    where coalesce(c.lost, 0) <> coalesce(posted.fen, 0)";

/// Claim by claim, so that two errors cannot cancel out; each has a bank reference that no other claim is booked under.
pub(super) const CLAIMS: &str = "
    select coalesce(c.claim_id, posted.source_id)::text as subject, coalesce(c.paid, 0) as expected, coalesce(posted.fen, 0) as found
    from (select line_id, claim_id, funder_id,
                 case status when 'paid' then principal_fen + interest_fen + fee_fen + penalty_fen else 0 end as paid from claim) c
    full join (select p.line_id, p.funder_id, p.source_id,
                      sum(case when leg.debit = 211 then leg.amount_fen when leg.credit = 211 then -leg.amount_fen end)::bigint as fen
               from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
               where p.event in ('claim_paid', 'claim_reversed') group by p.line_id, p.funder_id, p.source_id) posted
         on posted.line_id = c.line_id and posted.source_id = c.claim_id and posted.funder_id = c.funder_id
    where coalesce(c.paid, 0) <> coalesce(posted.fen, 0)
    union all
    select coalesce(c.claim_id, taken.claim_id) || ' reference', 1, 0
    from (select claim_id, funder_id, bank_reference from claim where status = 'paid') c
    full join (select claim_id, funder_id, bank_reference from claim_by_bank_reference where not is_taken_back) taken
         on taken.claim_id = c.claim_id and taken.funder_id = c.funder_id and taken.bank_reference = c.bank_reference
    where c.claim_id is null or taken.claim_id is null";

/// Paid claims and the journal of what was recovered for them, compared with the loan's totals. A loan that has ended owes its
/// guarantor nothing.
pub(super) const CLAIMED_LOANS: &str = "
    select l.loan_id || ' ' || side.name as subject, side.told as expected, side.stands as found
    from loan l
    left join (select line_id, loan_id, sum(principal_fen + interest_fen + fee_fen + penalty_fen)::bigint as fen
               from claim where status = 'paid' group by line_id, loan_id) paid on paid.line_id = l.line_id and paid.loan_id = l.loan_id
    left join (select line_id, loan_id, sum(amount_fen)::bigint as fen
               from recourse group by line_id, loan_id) came on came.line_id = l.line_id and came.loan_id = l.loan_id
    cross join lateral (values (l.claim_paid_fen - l.claim_recovered_fen)) as claimed(left_fen)
    cross join lateral (values ('paid', coalesce(paid.fen, 0), l.claim_paid_fen),
                               ('recovered', coalesce(came.fen, 0), l.claim_recovered_fen),
                               ('left', case when l.status = 'open' then claimed.left_fen else 0 end, claimed.left_fen))
                       as side(name, told, stands)
    where side.told <> side.stands and (l.claim_paid_fen <> 0 or paid.fen is not null or came.fen is not null)";

pub(super) const SETTLEMENT_PARTS: &str = "
    select coalesce(made.business_day, told.business_day) || ' merchant ' || coalesce(made.merchant_id, told.merchant_id)
               || ' funder ' || coalesce(made.funder_id, told.funder_id) || ' ' || side.name as subject,
           coalesce(side.made, 0) as expected, coalesce(side.told, 0) as found
    from (select business_day, merchant_id, funder_id, sum(gross)::bigint as gross, sum(refunds)::bigint as refunds,
                 sum(fee)::bigint as fee, sum(fee_returned)::bigint as fee_returned, sum(subsidy)::bigint as subsidy,
                 sum(subsidy_returned)::bigint as subsidy_returned
          from (select p.business_day, p.merchant_id, o.funder_id, p.amount_fen as gross, 0 as refunds,
                       p.discount_fee_fen as fee, 0 as fee_returned, p.subsidy_fen as subsidy, 0 as subsidy_returned
                from purchase p join product o on o.product_id = p.product_id where p.status = 'authorised'
                union all
                select business_day, merchant_id, funder_id, 0, amount_fen, 0, discount_fee_returned_fen, 0, subsidy_returned_fen
                from refund) moved
          where business_day in (select business_day from close_chunk where step = 'clearing' and done_at is not null)
          group by business_day, merchant_id, funder_id) made
    full join (select s.business_day, s.merchant_id, p.* from settlement s join settlement_part p on p.settlement_id = s.settlement_id) told
         on told.business_day = made.business_day and told.merchant_id = made.merchant_id and told.funder_id = made.funder_id
    cross join lateral (values ('gross', made.gross, told.gross_fen), ('refunds', made.refunds, told.refunds_fen),
                               ('fee', made.fee, told.discount_fee_fen), ('fee returned', made.fee_returned, told.discount_returned_fen),
                               ('subsidy', made.subsidy, told.subsidy_fen),
                               ('subsidy returned', made.subsidy_returned, told.subsidy_returned_fen)) as side(name, made, told)
    where coalesce(side.made, 0) <> coalesce(side.told, 0)";

pub(super) const SETTLEMENTS: &str = "
    select s.settlement_id || ' ' || side.name as subject, coalesce(side.parts, 0) as expected, side.told as found
    from settlement s
    left join (select settlement_id, sum(gross_fen)::bigint as gross, sum(refunds_fen)::bigint as refunds,
                      sum(discount_fee_fen - discount_returned_fen)::bigint as fee,
                      sum(subsidy_fen - subsidy_returned_fen)::bigint as subsidy, sum(carried_in_fen)::bigint as carried
               from settlement_part group by settlement_id) part on part.settlement_id = s.settlement_id
    left join (select carried_into, sum(payable_fen)::bigint as fen from settlement group by carried_into) taken
         on taken.carried_into = s.settlement_id
    cross join lateral (values ('gross', part.gross, s.gross_fen), ('refunds', part.refunds, s.refunds_fen),
                               ('fee', part.fee, s.discount_fee_fen), ('subsidy', part.subsidy, s.subsidy_fen),
                               ('net', part.gross - part.refunds - part.fee - part.subsidy, s.net_fen),
                               ('carried in', part.carried, s.carried_in_fen),
                               ('taken in', taken.fen, s.carried_in_fen),
                               ('payable', part.gross - part.refunds - part.fee - part.subsidy + part.carried, s.payable_fen))
                       as side(name, parts, told)
    where coalesce(side.parts, 0) <> side.told";

/// A merchant's refunds may exceed its sales for many days in a row. What is carried then concerns several funders, and may be of
/// either sign for each, since only the sum is negative.
pub(super) const SETTLEMENT_CARRIED: &str = "
    select coalesce(taken.settlement_id, before.settlement_id) || ' merchant ' || coalesce(taken.merchant_id, before.merchant_id)
               || ' funder ' || coalesce(taken.funder_id, before.funder_id) as subject,
           coalesce(before.fen, 0) as expected, coalesce(taken.fen, 0) as found
    from (select s.settlement_id, s.merchant_id, p.funder_id, p.carried_in_fen as fen
          from settlement s join settlement_part p on p.settlement_id = s.settlement_id) taken
    full join (select c.carried_into as settlement_id, c.merchant_id, p.funder_id,
                      sum(p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen - p.subsidy_fen
                          + p.subsidy_returned_fen + p.carried_in_fen)::bigint as fen
               from settlement c join settlement_part p on p.settlement_id = c.settlement_id
               where c.carried_into is not null group by c.carried_into, c.merchant_id, p.funder_id) before
         on before.settlement_id = taken.settlement_id and before.merchant_id = taken.merchant_id and before.funder_id = taken.funder_id
    where coalesce(before.fen, 0) <> coalesce(taken.fen, 0)";

/// By product version and kind of income: each has its own share, computed on the total so far, so that later days correct earlier
/// ones.
pub(super) const REMITTANCE_PARTS: &str = "
    select coalesce(due.remittance_id, told.remittance_id) || ' product ' || coalesce(due.product_id, told.product_id) || ' version '
               || coalesce(due.product_version, told.product_version) || ' ' || part.name as subject,
           coalesce(part.due, 0) as expected, coalesce(part.told, 0) as found
    from (select r.remittance_id, c.product_id, c.product_version, sum(c.principal)::bigint as principal,
                 sum(c.interest)::bigint as interest, sum(c.fee)::bigint as fee, sum(c.penalty)::bigint as penalty,
                 sum(c.subsidy)::bigint as subsidy
          from (select p.business_day, l.product_id, l.product_version, a.principal, a.interest, a.fee, a.penalty, 0 as subsidy
                from repayment p
                cross join lateral unnest(p.loan_ids, p.principal_fen, p.interest_fen, p.fee_fen, p.penalty_fen)
                           as a(loan_id, principal, interest, fee, penalty)
                join loan l on l.loan_id = a.loan_id and l.line_id = p.line_id
                union all
                select business_day, product_id, product_version, 0, 0, 0, 0, subsidy_fen
                from purchase where status = 'authorised' and subsidy_fen <> 0
                union all
                select f.business_day, l.product_id, l.product_version, 0, -f.interest_back_fen, -f.fee_back_fen, 0,
                       -f.subsidy_returned_fen
                from refund f join loan l on l.loan_id = f.loan_id and l.line_id = f.line_id) c
          join product o on o.product_id = c.product_id
          join remittance r on r.funder_id = o.funder_id and r.business_day = c.business_day
          group by r.remittance_id, c.product_id, c.product_version) due
    full join remittance_part told on told.remittance_id = due.remittance_id and told.product_id = due.product_id
                                  and told.product_version = due.product_version
    cross join lateral (values ('principal', due.principal, told.principal_fen), ('interest', due.interest, told.interest_fen),
                               ('fee', due.fee, told.fee_fen), ('penalty', due.penalty, told.penalty_fen),
                               ('subsidy', due.subsidy, told.subsidy_fen)) as part(name, due, told)
    where coalesce(part.due, 0) <> coalesce(part.told, 0)";

/// Compared both ways, so that nothing is deducted from what another funder is owed.
pub(super) const REMITTANCE_CARRIED: &str = "
    select coalesce(r.remittance_id, taken.carried_into) || ' funder ' || coalesce(r.funder_id, taken.funder_id) as subject,
           coalesce(taken.fen, 0) as expected, coalesce(r.carried_in_fen, 0) as found
    from remittance r
    full join (select carried_into, funder_id, sum(payable_fen)::bigint as fen
               from remittance where carried_into is not null group by carried_into, funder_id) taken
         on taken.carried_into = r.remittance_id and taken.funder_id = r.funder_id
    where coalesce(taken.fen, 0) <> coalesce(r.carried_in_fen, 0)";

/// A file is compared only once: what it names and is neither booked nor in a break would never be looked for again.
pub(super) const NAMED: &str = "
    select f.channel || ' ' || f.business_day || ' order ' || f.withholding_id as subject, f.amount_fen as expected, 0 as found
    from channel_file c
    join channel_file_line f on f.channel = c.channel and f.business_day = c.business_day
    left join withholding_booked b on b.withholding_id = f.withholding_id::text
    where c.compared_at is not null and f.succeeded and f.amount_fen > 0 and coalesce(b.booked_fen, 0) = 0
      and not exists (select from reconciliation_break k where k.withholding_id = f.withholding_id)";

pub(super) const FILES: &str = "
    select c.channel || ' ' || c.business_day || ' ' || part.name as subject, coalesce(part.summed, 0) as expected, part.told as found
    from channel_file c
    left join (select channel, business_day, count(*) as lines, sum(amount_fen)::bigint as amount, sum(cost_fen)::bigint as cost
               from channel_file_line group by channel, business_day) line
         on line.channel = c.channel and line.business_day = c.business_day
    cross join lateral (values ('lines', line.lines, c.lines), ('amount', line.amount, c.amount_fen), ('cost', line.cost, c.cost_fen))
                       as part(name, summed, told)
    where coalesce(part.summed, 0) <> part.told";

/// Compared both ways: an order is marked as paid only by a purchase, and a purchase with an order's code is the one that paid it.
pub(super) const ORDERS: &str = "
    select coalesce(o.code_id, p.code_id) as subject, coalesce(o.amount_fen, 0) as expected,
           case when o.merchant_id <> p.merchant_id or o.status <> p.status then 0 else coalesce(p.amount_fen, 0) end as found
    from (select code_id, merchant_id, amount_fen, status, paid_purchase_id from merchant_code
          where kind = 'order' and paid_purchase_id is not null) o
    full join (select p.purchase_id, p.code_id, p.merchant_id, p.amount_fen,
                      case p.status when 'authorised' then 'paid' else p.status end as status
               from purchase p join merchant_code c on c.code_id = p.code_id and c.kind = 'order' where p.status <> 'refused') p
         on p.purchase_id = o.paid_purchase_id and p.code_id = o.code_id
    where (o.merchant_id, o.amount_fen, o.status) is distinct from (p.merchant_id, p.amount_fen, p.status)";

pub(super) const REFUNDS: &str = "
    select p.purchase_id as subject, coalesce(sum(r.amount_fen), 0) as expected, p.refunded_fen as found
    from purchase p left join refund r on r.purchase_id = p.purchase_id and r.line_id = p.line_id
    where p.refunded_fen > 0 or r.refund_id is not null
    group by p.purchase_id, p.line_id having coalesce(sum(r.amount_fen), 0) <> p.refunded_fen";

/// For a purchase, in however many parts it was refunded: charge × refunded ÷ price, rounded half-up once. The discount fee is returned
/// only if the merchant's agreement said so when the purchase was made.
pub(super) const RETURNED: &str = "
    select r.purchase_id || ' ' || charge.name as subject, belongs.fen as expected, charge.returned as found
    from (select line_id, purchase_id, sum(amount_fen) as amount, sum(discount_fee_returned_fen)::bigint as fee,
                 sum(subsidy_returned_fen)::bigint as subsidy
          from refund group by line_id, purchase_id) r
    join purchase p on p.purchase_id = r.purchase_id and p.line_id = r.line_id
    join merchant m on m.merchant_id = p.merchant_id
    cross join lateral (values ('fee', case when coalesce(p.discount_returned_on_refund, m.discount_returned_before)
                                            then p.discount_fee_fen else 0 end, r.fee),
                               ('subsidy', p.subsidy_fen, r.subsidy)) as charge(name, fen, returned)
    cross join lateral (values (div(2 * charge.fen * r.amount + p.amount_fen, 2 * p.amount_fen)::bigint)) as belongs(fen)
    where belongs.fen <> charge.returned";

/// Interest and fees that refunds say are no longer owed, by loan: they left the schedule or the billed installments. What a payoff
/// waived after billing left the schedule too, but not by a refund.
pub(super) const WAIVED: &str = "
    select coalesce(told.loan_id, gone.loan_id) as subject, coalesce(gone.fen, 0) as expected, coalesce(told.fen, 0) as found
    from (select line_id, loan_id, sum(interest_waived_fen)::bigint as fen from refund group by line_id, loan_id) told
    full join (
        select line_id, loan_id, sum(fen)::bigint as fen
        from (select s.line_id, s.loan_id, earlier.fen - later.fen as fen
              from schedule s
              join schedule b on b.line_id = s.line_id and b.loan_id = s.loan_id and b.version = s.version - 1
              cross join lateral (select sum(a.interest + a.fee) as fen
                                  from unnest(b.interest_fen, b.fee_fen) as a(interest, fee)) earlier
              cross join lateral (select sum(a.interest + a.fee) as fen
                                  from unnest(s.interest_fen, s.fee_fen) as a(interest, fee)) later
              where s.reason = 'refund'
              union all
              select i.line_id, i.loan_id, i.interest_returned_fen - i.interest_fen + s.interest_fen[i.period]
                                           + i.fee_returned_fen - i.fee_fen + s.fee_fen[i.period]
              from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
              join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
              where i.interest_returned_fen > 0 or i.fee_returned_fen > 0) moved
        group by line_id, loan_id) gone on gone.line_id = told.line_id and gone.loan_id = told.loan_id
    where coalesce(told.fen, 0) <> coalesce(gone.fen, 0)";

pub(super) const OPENED: &str = "
    select a.application_id as subject, coalesce(a.limit_fen, 0) as expected, coalesce(e.limit_change_fen, 0) as found
    from application a
    left join line_entry e on e.line_id = a.line_id and e.kind = 'opened' and e.source_id = a.application_id
    where a.status = 'approved' and a.limit_fen is distinct from e.limit_change_fen";

/// An account that a day's manifest does not list is zero: neither the first day that lists it, nor the day after the last one, may
/// leave anything out.
pub(super) const OPENED_BOOKS: &str = "
    select day.funder_id || ' ' || day.business_day || ' ' || account.name as subject, stood.closed as expected, stood.opened as found
    from (select funder_id, business_day, told, lag(told) over days as before, lag(business_day) over days as day_before
          from (select funder_id, business_day, manifest::jsonb -> 'figures' as told from funder_day
                where sha256(convert_to(manifest, 'UTF8')) = manifest_sha256
                offset 0) made
          window days as (partition by funder_id order by business_day)) day
    cross join lateral (
        select replace(key, '.opening_fen', '') as name
        from jsonb_object_keys(day.told) as key where key like 'book.%.opening_fen'
        union
        select replace(key, '.closing_fen', '')
        from jsonb_object_keys(day.before) as key where key like 'book.%.closing_fen') account
    cross join lateral (values (coalesce((day.before ->> (account.name || '.closing_fen'))::bigint, 0),
                                coalesce((day.told ->> (account.name || '.opening_fen'))::bigint, 0))) as stood(closed, opened)
    where day.day_before = day.business_day - 1 and stood.closed <> stood.opened";

/// Compared both ways, by the signed hashes. Of files whose bytes are stored, all bytes must be there. Only their number is checked,
/// since hashing the files of years would take too long.
pub(super) const DAY_FILES: &str = "
    select coalesce(listed.funder_id, f.funder_id) || ' ' || coalesce(listed.business_day, f.business_day) || ' '
               || coalesce(listed.name, f.name) as subject,
           coalesce(listed.bytes, 0) as expected,
           case when listed.sha256 is distinct from f.sha256 then 0 else coalesce(kept.bytes, f.bytes, 0) end as found
    from (select d.funder_id, d.business_day, file ->> 'name' as name, file ->> 'sha256' as sha256, (file ->> 'bytes')::bigint as bytes
          from (select funder_id, business_day, manifest::jsonb -> 'files' as told from funder_day
                where sha256(convert_to(manifest, 'UTF8')) = manifest_sha256
                offset 0) d
          cross join lateral jsonb_array_elements(d.told) as file) listed
    full join (select f.funder_id, f.business_day, f.name, encode(f.sha256, 'hex') as sha256, f.bytes
               from funder_day_file f join funder_day d on d.funder_id = f.funder_id and d.business_day = f.business_day
               where sha256(convert_to(d.manifest, 'UTF8')) = d.manifest_sha256) f
         on f.funder_id = listed.funder_id and f.business_day = listed.business_day and f.name = listed.name
    left join (select funder_id, business_day, name, sum(octet_length(content))::bigint as bytes
               from funder_day_chunk group by funder_id, business_day, name) kept
         on kept.funder_id = listed.funder_id and kept.business_day = listed.business_day and kept.name = listed.name
    where (listed.sha256, listed.bytes) is distinct from (f.sha256, f.bytes) or kept.bytes <> listed.bytes";
