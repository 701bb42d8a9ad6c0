//! Identities as SQL about what waits for longer than anything of its kind should.

/// The hook is asked again every minute, and if it does not answer a person decides: only an application that cannot be given to the
/// hook stays submitted. Days begin at midnight in Shanghai, whatever the session's time zone is.
pub(super) const UNDECIDED: &str = "
    select application_id as subject, 0 as expected,
           (select today from business_day) - (created_at at time zone 'Asia/Shanghai')::date as found
    from application
    where status = 'submitted' and (created_at at time zone 'Asia/Shanghai')::date < (select today from business_day) - 1";

pub(super) const UNANSWERED: &str = "
    select application_id as subject, 0 as expected,
           (select today from business_day) - (answer_by at time zone 'Asia/Shanghai')::date as found
    from application
    where status = 'with_funder' and (answer_by at time zone 'Asia/Shanghai')::date < (select today from business_day) - 1";

/// A payment that people retried is pending since then, and not since the day on which it was to be paid first. One that is held with its
/// merchant's is not pending until they are released; one that is on its way all the same is.
pub(super) const PENDING: &str = "
    select 'withholding ' || withholding_id as subject, 3 as expected, (select today from business_day) - business_day as found
    from withholding where is_pending and business_day < (select today from business_day) - 3
    union all
    select 'payout ' || payout_id, 3, pending.days
    from payout cross join lateral (
        select (select today from business_day)
               - greatest(pay_on, max((e.occurred_at at time zone 'Asia/Shanghai')::date),
                          (select max((m.occurred_at at time zone 'Asia/Shanghai')::date) from merchant_event m
                           where m.merchant_id = beneficiary_id and m.decision = 'release_payouts')) as days
        from payout_event e where e.payout_id = payout.payout_id and e.status = 'retried') pending
    where payout.status in ('created', 'submitted', 'unknown') and pay_on < (select today from business_day) - 3
      and pending.days > 3
      and (status <> 'created' or beneficiary_id not in (select merchant_id from payout_hold))";

/// The rules for acquirers (银行卡收单业务管理办法) leave thirty days for paying a merchant. They are counted from the hold, which is when its
/// first payment began to wait.
pub(super) const HELD: &str = "
    select h.merchant_id as subject, 30 as expected,
           (select today from business_day) - (h.held_at at time zone 'Asia/Shanghai')::date as found
    from payout_hold h
    where (h.held_at at time zone 'Asia/Shanghai')::date < (select today from business_day) - 30
      and exists (select from settlement s join payout p on p.kind = 'settlement' and p.source_id = s.settlement_id
                  where s.merchant_id = h.merchant_id and p.status in ('created', 'failed')
                    and p.pay_on <= (select today from business_day))";

/// No holidays are longer than half of these 14 days, so nothing is ordered for a later day. Something with a later day would block the
/// collection from its line, or would not be paid, and [`PENDING`] would not find it for a long time.
pub(super) const PUT_OFF: &str = "
    select 'withholding ' || withholding_id as subject, 14 as expected, put_off.until - (select today from business_day) as found
    from withholding
    cross join lateral (values (greatest(business_day, (submit_at at time zone 'Asia/Shanghai')::date))) as put_off(until)
    where is_pending and put_off.until > (select today from business_day) + 14
    union all
    select 'payout ' || payout_id, 14, pay_on - (select today from business_day)
    from payout where status in ('created', 'submitted', 'unknown') and pay_on > (select today from business_day) + 14";

/// A payment that was retried and refused again waits since the last refusal. Payments to people who have closed their account are left
/// out: they may ask for their money at any time.
pub(super) const REFUSED: &str = "
    select payout_id as subject, 3 as expected, refused.days as found
    from payout cross join lateral (
        select (select today from business_day) - coalesce(max((e.occurred_at at time zone 'Asia/Shanghai')::date), pay_on) as days
        from payout_event e where e.payout_id = payout.payout_id and e.status = 'failed') refused
    where payout.status = 'failed' and pay_on < (select today from business_day) - 3 and refused.days > 3
      and not exists (select from borrower where borrower_id = beneficiary_id and person_key_sealed is null)";

/// Operators are told of such a payment once, and its payee may not have the money. More days than after a refusal, because the channel
/// has to find out what became of it, and a later attempt comes to its end first.
pub(super) const CONTRADICTED: &str = "
    select payout_id as subject, 7 as expected, (select today from business_day) - contradicted_on as found
    from payout where contradicted_attempt is not null and contradicted_on < (select today from business_day) - 7";

/// The close of yesterday may still be on.
pub(super) const UNFINISHED: &str = "
    select business_day as subject, 1 as expected, 0 as found from close_run
    where finished_at is null and business_day < (select today from business_day) - 1";

pub(super) const UNMADE: &str = "
    select funder_id || ' ' || business_day as subject, 1 as expected, 0 as found from funder_day
    where made_at is null and business_day < (select today from business_day) - 3";
