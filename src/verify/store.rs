//! The identities, as SQL: each query returns the places where its sentence is not true.

use sqlx::{AssertSqlSafe, PgConnection};

use super::booked_store::{Booked, sum_booked};
use super::fen_days_store::{find_other_fen_days, find_too_many_fen_days};
use super::plan_store::find_other_plans;
use super::rate_store::find_other_rates;
use super::settled_store::{find_overpaid_penalty, find_settled, find_unpaid_penalty};
use super::share_store::find_other_shares;
use super::trail_store::find_misfit;
use super::{
    FINDINGS_MAX, Finding, balance_store, billed_store, channel_store, event_store, income_store, line_store,
    part_store, told_store, waiting_store,
};

/// An identity and how its exceptions are found.
#[derive(Debug)]
pub struct Identity {
    pub sentence: &'static str,
    exceptions: Exceptions,
}

#[derive(Debug)]
enum Exceptions {
    /// By a query for `subject`, `expected` and `found`.
    Query(&'static str),
    /// By a query that gets the posted balances, as [`balance_store`] says.
    Booked(&'static str),
    /// By a function, as the next seven: they depend on the terms of products, which SQL cannot read.
    Settled,
    UnpaidPenalty,
    OverpaidPenalty,
    FenDays,
    OtherFenDays,
    OtherRates,
    OtherPlans,
    OtherShares,
    /// Along the audit trail, by its hashes.
    Misfit,
}

/// Makes the transaction read one snapshot, so that all identities are checked on the same data.
pub async fn begin_snapshot(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only").execute(&mut *connection).await?;
    // Each identity reads whole tables. After a busy day the planner's statistics are out of date, and nested loops would look up every
    // row.
    sqlx::query!("set local enable_nestloop = off").execute(connection).await?;
    Ok(())
}

/// Finds at most [`FINDINGS_MAX`] places where an identity does not hold. The posted balances are summed by the first identity that
/// compares them, and kept in `booked` for the following ones in the same snapshot.
pub async fn check(
    connection: &mut PgConnection,
    identity: &Identity,
    booked: &mut Option<Booked>,
) -> sqlx::Result<Vec<Finding>> {
    let exceptions = match identity.exceptions {
        Exceptions::Query(exceptions) | Exceptions::Booked(exceptions) => exceptions,
        Exceptions::Settled => return find_settled(connection, identity.sentence).await,
        Exceptions::UnpaidPenalty => return find_unpaid_penalty(connection, identity.sentence).await,
        Exceptions::OverpaidPenalty => return find_overpaid_penalty(connection, identity.sentence).await,
        Exceptions::FenDays => return find_too_many_fen_days(connection, identity.sentence).await,
        Exceptions::OtherFenDays => return find_other_fen_days(connection, identity.sentence).await,
        Exceptions::OtherRates => return find_other_rates(connection, identity.sentence).await,
        Exceptions::OtherPlans => return find_other_plans(connection, identity.sentence).await,
        Exceptions::OtherShares => return find_other_shares(connection, identity.sentence).await,
        Exceptions::Misfit => return find_misfit(connection, identity.sentence).await,
    };
    // The identities are data, run in a loop; a test prepares each, so that none can name a missing column. Sorted, so that repeating
    // the check lists the same findings.
    let limited = format!(
        "select subject::text, expected::bigint, found::bigint from ({exceptions}) exceptions
         order by 1, 2, 3 limit {FINDINGS_MAX}"
    );
    let mut query = sqlx::query_as::<sqlx::Postgres, (String, i64, i64)>(AssertSqlSafe(limited));
    if matches!(identity.exceptions, Exceptions::Booked(_)) {
        let booked = match booked {
            Some(booked) => booked,
            None => booked.insert(sum_booked(&mut *connection).await?),
        };
        query = query.bind(&booked.funder_ids).bind(&booked.accounts).bind(&booked.fen);
    }
    let rows = query.fetch_all(connection).await?;
    let finding = |(subject, expected, found)| Finding { identity: identity.sentence, subject, expected, found };
    Ok(rows.into_iter().map(finding).collect())
}

macro_rules! exceptions {
    (booked $exceptions:expr) => {
        Exceptions::Booked($exceptions)
    };
    ($exceptions:expr) => {
        Exceptions::Query($exceptions)
    };
}

macro_rules! identities {
    ($($sentence:literal $($booked:ident)?: $exceptions:expr,)*) => {
        /// All identities, in the order in which they are checked.
        pub const IDENTITIES: &[Identity] =
            &[$(Identity { sentence: $sentence, exceptions: exceptions!($($booked)? $exceptions) },)*
              OPEN_BILLS, PAID_BILLS, PENALTY, FEN_DAYS, FEN_DAYS_EXACT, RATES, FIRST_PLANS, SHARES, TRAIL];
    };
}

/// Completes "a paid bill owes nothing and an open one something" for bills that were paid late.
const OPEN_BILLS: Identity =
    Identity { sentence: "an open bill that owes nothing else owes penalty", exceptions: Exceptions::Settled };
const PAID_BILLS: Identity =
    Identity { sentence: "a paid bill owes no penalty", exceptions: Exceptions::UnpaidPenalty };
const PENALTY: Identity =
    Identity { sentence: "no more penalty was collected than has run", exceptions: Exceptions::OverpaidPenalty };
const FEN_DAYS: Identity = Identity {
    sentence: "penalty is reckoned from no more than all that bears it on every day",
    exceptions: Exceptions::FenDays,
};
const FEN_DAYS_EXACT: Identity = Identity {
    sentence: "penalty is reckoned from what was unpaid on every day, where no money came late or went back",
    exceptions: Exceptions::OtherFenDays,
};
const RATES: Identity =
    Identity { sentence: "a loan stands on the rate that its plan names", exceptions: Exceptions::OtherRates };
const FIRST_PLANS: Identity =
    Identity { sentence: "a loan's first plan is the one that its product names", exceptions: Exceptions::OtherPlans };
const SHARES: Identity =
    Identity { sentence: "the platform keeps the share that the terms name", exceptions: Exceptions::OtherShares };
const TRAIL: Identity =
    Identity { sentence: "the audit trail is one chain up to its head", exceptions: Exceptions::Misfit };

identities! {
    "every leg of a posting is positive and stays within one book":
        "select posting_id as subject, 0 as expected, coalesce(leg.amount_fen, 0) as found
         from posting cross join lateral unnest(debit, credit, amount_fen) as leg(debit, credit, amount_fen)
         where coalesce(leg.amount_fen, 0) <= 0 or leg.debit / 100 <> leg.credit / 100 or leg.debit is null or leg.credit is null",

    "every book of a closed day sums to zero":
        "select business_day || ' funder ' || funder_id || ' book ' || account / 100 as subject,
                sum(debit_fen) as expected, sum(credit_fen) as found
         from ledger_day group by business_day, funder_id, account / 100 having sum(debit_fen) <> sum(credit_fen)",

    "the sums of closed days are the sums of their postings": part_store::LEDGER_DAYS,

    "losses are booked by what is written off or did not come, and recoveries by what did": part_store::LOSSES,

    "what a line has used is the unpaid principal of its loans":
        "select l.line_id as subject, coalesce(owed.fen, 0) as expected, l.used_fen as found
         from credit_line l
         left join (select line_id, sum(principal_fen - principal_paid_fen - principal_returned_fen) as fen
                    from loan where status in ('open', 'paid', 'refunded') group by line_id) owed on owed.line_id = l.line_id
         where l.used_fen <> coalesce(owed.fen, 0)",

    "a line stands where its journal ends":
        "select l.line_id || ' ' || part.name as subject, coalesce(part.told, 0) as expected, part.stands as found
         from credit_line l
         left join line_entry e on e.line_id = l.line_id and e.entry_no = l.last_entry_no
         cross join lateral (values ('used', e.used_after_fen, l.used_fen), ('limit', e.limit_after_fen, l.limit_fen))
                            as part(name, told, stands)
         where part.told is distinct from part.stands",

    "a line's journal has no gap and sums to what it says": line_store::JOURNAL,

    "a line is frozen and closed as its journal says": line_store::STATUS,

    "a line was opened with the limit that was approved": part_store::OPENED,

    // A line can be above its limit only after the limit was lowered.
    "no purchase took a line over its limit":
        "select line_id || ' entry ' || entry_no as subject, limit_after_fen as expected, used_after_fen as found
         from line_entry where kind = 'purchase' and used_after_fen > limit_after_fen",

    "a reserve stands where its journal ends":
        "select r.funder_id || ' ' || part.name as subject, coalesce(part.told, 0) as expected, part.stands as found
         from reserve r left join reserve_entry e on e.funder_id = r.funder_id and e.entry_no = r.last_entry_no
         cross join lateral (values ('available', e.available_after_fen, r.available_fen), ('held', e.held_after_fen, r.held_fen))
                            as part(name, told, stands)
         where coalesce(part.told, 0) <> part.stands",

    "a reserve's journal has no gap and sums to what it says": line_store::RESERVE_JOURNAL,

    "an advance runs since the day on which its reserve fell below zero": line_store::ADVANCE,

    "an advance that was not repaid for a fortnight is overdue": line_store::OVERDUE_ADVANCE,

    "slices are leased no more than their reserve has":
        "select r.funder_id as subject, greatest(r.available_fen, 0) as expected, leased.fen as found
         from reserve r join (select funder_id, sum(leased_fen) as fen from reserve_slice group by funder_id) leased using (funder_id)
         where leased.fen > greatest(r.available_fen, 0)",

    "an order about a reserve that is booked stands in its journal": event_store::RESERVE_ORDERS,

    "a reserve's totals are the sums of its journal":
        "select r.funder_id || ' ' || kinds.kind as subject, coalesce(sum(e.amount_fen), 0) as expected, kinds.fen as found
         from reserve r
         cross join lateral (values ('deposit', r.deposited_fen), ('withdrawal', r.withdrawn_fen), ('clearing', r.paid_out_fen),
                                    ('refund', r.returned_fen)) as kinds(kind, fen)
         left join reserve_entry e on e.funder_id = r.funder_id and e.kind = kinds.kind
         group by r.funder_id, kinds.kind, kinds.fen having coalesce(sum(e.amount_fen), 0) <> kinds.fen",

    "what a reserve holds is what its purchases wait to be cleared for":
        "select r.funder_id as subject, coalesce(waiting.fen, 0) as expected, r.held_fen as found
         from reserve_now r
         left join (select l.funder_id, sum(p.amount_fen) as fen
                    from purchase p join loan l on l.loan_id = p.loan_id and l.line_id = p.line_id
                    where p.status = 'authorised'
                      and p.business_day not in (select business_day from close_chunk where step = 'clearing' and done_at is not null)
                    group by l.funder_id) waiting on waiting.funder_id = r.funder_id
         where r.held_fen <> coalesce(waiting.fen, 0)",

    "both books carry each reserve, and the funder's own its cash" booked: balance_store::RESERVES,

    "loans outstanding are the books' loan principal": balance_store::LOAN_PRINCIPAL,

    "what is sold, given back and repaid names its posting, on its line and to the fen": event_store::POSTED,

    "what a repayment paid of each part of a debt is booked as that part": event_store::PARTS,

    "a correction names one posting that stands, and no other one does": event_store::CORRECTIONS,

    "a loan names the purchase that made it, and is void where that is": event_store::SOLD,

    "what is owed and collected on a line is of its borrower and its funder": event_store::OWNERS,

    "what fell off a loan's principal is what its refunds took off it": event_store::FALLEN,

    "a loan stands on the last of its plans, which are numbered without a gap": event_store::PLANS,

    "a refund puts nothing on a loan's plan, and moves no row of it to another day": event_store::REDUCED,

    "a loan's installments sum to the loan":
        "select l.loan_id as subject, l.principal_fen - l.principal_returned_fen as expected,
                (select sum(row_fen) from unnest(s.principal_fen) as row_fen) - coalesce(taken.fen, 0) as found
         from loan l
         join schedule s on s.loan_id = l.loan_id and s.line_id = l.line_id and s.version = l.schedule_version
         left join (select line_id, loan_id, sum(principal_returned_fen) as fen from bill_line group by line_id, loan_id) taken
              on taken.loan_id = l.loan_id and taken.line_id = l.line_id
         where l.status in ('open', 'paid', 'refunded')
           and (select sum(row_fen) from unnest(s.principal_fen) as row_fen) - coalesce(taken.fen, 0)
               <> l.principal_fen - l.principal_returned_fen",

    "a loan that is paid or refunded owes neither principal nor charges":
        "select l.loan_id as subject, 0 as expected, owed.fen as found
         from loan l
         left join (select line_id, loan_id, sum(interest_fen - interest_paid_fen - interest_returned_fen
                                                 + fee_fen - fee_paid_fen - fee_returned_fen)::bigint as fen
                    from bill_line group by line_id, loan_id) charges on charges.loan_id = l.loan_id and charges.line_id = l.line_id
         cross join lateral (values (l.principal_fen - l.principal_paid_fen - l.principal_returned_fen), (charges.fen)) as owed(fen)
         where l.status in ('paid', 'refunded') and owed.fen <> 0",

    "statements bill what schedules ask, and leave nothing out": billed_store::BILLED,

    "a bill is the sum of its lines": billed_store::SUMMED,

    "a paid bill owes nothing and an open one something":
        "select b.line_id || ' due ' || b.due_on || ' ' || b.status as subject, 0 as expected, sum(owed.fen) as found
         from bill b join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
         cross join lateral (values (i.principal_fen - i.principal_paid_fen - i.principal_returned_fen),
                                    (i.interest_fen - i.interest_paid_fen - i.interest_returned_fen),
                                    (i.fee_fen - i.fee_paid_fen - i.fee_returned_fen)) as owed(fen)
         where b.status = 'paid' and owed.fen <> 0
         group by b.line_id, b.due_on
         union all
         select b.line_id || ' due ' || b.due_on || ' ' || b.status, 1, 0
         from bill b
         where b.status = 'open'
           and not exists (select from bill_line i
                           where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
                             and (i.principal_fen > i.principal_paid_fen + i.principal_returned_fen
                               or i.interest_fen > i.interest_paid_fen + i.interest_returned_fen
                               or i.fee_fen > i.fee_paid_fen + i.fee_returned_fen or i.fen_days > 0))",

    "principal paid on a loan is what its billed installments were paid":
        "select l.loan_id as subject, coalesce(sum(i.principal_paid_fen), 0) as expected, l.principal_paid_fen as found
         from loan l left join bill_line i on i.loan_id = l.loan_id and i.line_id = l.line_id
         where l.status <> 'voided'
         group by l.loan_id, l.line_id having coalesce(sum(i.principal_paid_fen), 0) <> l.principal_paid_fen",

    "a repayment is what it allocated and its excess":
        "select r.repayment_id as subject, r.amount_fen as expected, r.excess_fen + allocated.fen as found
         from repayment r
         cross join lateral (select coalesce(sum(a.principal + a.interest + a.fee + a.penalty), 0) as fen
                             from unnest(r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                                  as a(principal, interest, fee, penalty)) allocated
         where r.amount_fen <> r.excess_fen + allocated.fen",

    "what installments were paid is what repayments allocated": income_store::PAID_INSTALLMENTS,

    "what refunds gave back of paid interest and fees stands on the installments": income_store::GIVEN_BACK,

    "what refunds took off billed installments stands on them": income_store::FELL,

    "what refunds waived of interest and fees is asked for no more": part_store::WAIVED,

    "each collected withholding is one repayment": income_store::COLLECTED,

    "a transfer is booked once, under its bank's reference": event_store::TRANSFERS,

    "a transfer that was taken back is a repayment and its reversal":
        "select t.bank_reference as subject, coalesce(-r.amount_fen, 0) as expected, coalesce(b.amount_fen, 0) as found
         from transfer_by_bank_reference t
         left join repayment r on r.repayment_id = t.repayment_id and r.line_id = t.line_id
         left join repayment b on b.repayment_id = t.reversal_id and b.line_id = t.line_id and b.source = 'reversal'
              and b.source_reference = t.repayment_id::text
         where t.reversal_id is not null and (b.repayment_id is null or r.repayment_id is null or b.amount_fen <> -r.amount_fen)
         union all
         select b.repayment_id::text, 0, b.amount_fen
         from repayment b join transfer_by_bank_reference t on t.line_id = b.line_id and t.repayment_id::text = b.source_reference
         where b.source = 'reversal' and t.reversal_id is distinct from b.repayment_id",

    "what merchants are owed out of a funder's book is its part of what was cleared and not paid" booked:
        balance_store::MERCHANT_PAYABLE,

    "what channels owe is what they collected and have not settled" booked: balance_store::CHANNEL_RECEIVABLE,

    "a channel's file is the sum of its lines": part_store::FILES,

    "money that a compared file names is booked, or a break is about it": part_store::NAMED,

    "what a channel owes of an order is on its way, or a break tells of it": channel_store::ORDERS,

    "what is owed on to a funder is what was collected and not remitted" booked: balance_store::COLLECTIONS_PAYABLE,

    "what is owed back to borrowers is what has not been paid to their cards" booked: balance_store::BORROWER_PAYABLE,

    "fees receivable are what accrued and was not collected" booked: balance_store::FEE_RECEIVABLE,

    "what is charged off is what remains receivable of loans charged off" booked: balance_store::CHARGED_OFF,

    "a charge-off is what was posted for it": part_store::CHARGE_OFF,

    "a claim is booked as it was paid, and one that was taken back is not": part_store::CLAIMS,

    "claims received are what guarantors paid and has not come in for them" booked: balance_store::CLAIMS_RECEIVED,

    "what is owed to guarantors is what came in for them" booked: balance_store::GUARANTOR_PAYABLE,

    "what guarantors paid of a loan, and what came in for them, stands on it": part_store::CLAIMED_LOANS,

    "the bank has what was paid in and not paid out" booked: balance_store::BANK,

    "income, costs and what is on its way to funders are what the events behind them say" booked: income_store::INCOME,

    "a settlement's parts are the purchases and refunds of its day": part_store::SETTLEMENT_PARTS,

    "a settlement is the sum of its parts and of what was carried into it": part_store::SETTLEMENTS,

    "what is carried into a settlement is what its merchant's days before left, funder by funder": part_store::SETTLEMENT_CARRIED,

    "an order is paid once, by a purchase of its amount": part_store::ORDERS,

    "a purchase's refunds sum to what it says": part_store::REFUNDS,

    "a purchase, its code and its refunds are of one merchant": event_store::MERCHANTS,

    "a merchant gets back of its charges what belongs to what was refunded": part_store::RETURNED,

    "every authorised purchase names a loan, a merchant and a product version that exist":
        "select p.purchase_id as subject, 1 as expected, 0 as found
         from purchase p
         where p.status = 'authorised'
           and (not exists (select from loan l where l.loan_id = p.loan_id and l.line_id = p.line_id and l.principal_fen = p.amount_fen)
             or not exists (select from merchant m where m.merchant_id = p.merchant_id)
             or not exists (select from product_version v where v.product_id = p.product_id and v.version = p.product_version))",

    "a published version is the text that was proven":
        "select product_id || ' version ' || version as subject, 1 as expected, 0 as found
         from product_version where sha256(convert_to(terms_text, 'UTF8')) <> terms_sha256",

    "interest and fees run as schedules ask, and are posted in full by their end": income_store::SPANS,

    "interest receivable is what accrued and was not collected" booked: balance_store::INTEREST_RECEIVABLE,

    "what is remitted for a day is what came in on it, and the sum of its parts":
        "select r.funder_id || ' ' || r.business_day as subject, coalesce(came.fen, 0) as expected, r.collected_fen as found
         from remittance r
         left join (select funder_id, business_day, sum(moved.fen)::bigint as fen
                    from (select funder_id, business_day, amount_fen - excess_fen as fen from repayment
                          union all
                          select funder_id, business_day, -interest_back_fen - fee_back_fen from refund) moved
                    group by funder_id, business_day) came
              on came.funder_id = r.funder_id and came.business_day = r.business_day
         where r.collected_fen <> coalesce(came.fen, 0)
         union all
         select r.remittance_id::text, r.collected_fen + r.subsidy_fen - r.share_fen,
                coalesce(sum(p.principal_fen + p.interest_fen + p.fee_fen + p.penalty_fen + p.subsidy_fen - p.share_fen), 0)
         from remittance r left join remittance_part p on p.remittance_id = r.remittance_id
         group by r.remittance_id
         having r.collected_fen + r.subsidy_fen - r.share_fen
             <> coalesce(sum(p.principal_fen + p.interest_fen + p.fee_fen + p.penalty_fen + p.subsidy_fen - p.share_fen), 0)",

    "a remittance's parts are what each product brought in on its day": part_store::REMITTANCE_PARTS,

    "a remittance takes in what was carried into it": part_store::REMITTANCE_CARRIED,

    "a day on which a funder's borrowers paid is remitted":
        "select came.funder_id || ' ' || came.business_day as subject, came.fen as expected, 0 as found
         from (select funder_id, business_day, sum(moved.fen)::bigint as fen
               from (select funder_id, business_day, amount_fen - excess_fen as fen from repayment
                     union all
                     select funder_id, business_day, -interest_back_fen - fee_back_fen from refund) moved
               where business_day in (select business_day from close_chunk where step = 'remittance' and done_at is not null)
               group by funder_id, business_day) came
         left join remittance r on r.funder_id = came.funder_id and r.business_day = came.business_day
         where r.remittance_id is null and came.fen <> 0",

    "the subsidy that is remitted for a day is what its settlements held back":
        "select coalesce(held.funder_id, r.funder_id) || ' ' || coalesce(held.business_day, r.business_day) as subject,
                coalesce(held.fen, 0) as expected, coalesce(r.subsidy_fen, 0) as found
         from (select p.funder_id, s.business_day, sum(p.subsidy_fen - p.subsidy_returned_fen)::bigint as fen
               from settlement s join settlement_part p on p.settlement_id = s.settlement_id
               where s.business_day in (select business_day from close_chunk where step = 'remittance' and done_at is not null)
               group by p.funder_id, s.business_day) held
         full join remittance r on r.funder_id = held.funder_id and r.business_day = held.business_day
         where coalesce(held.fen, 0) <> coalesce(r.subsidy_fen, 0)",

    "what is owed to merchants, funders and cards has one payment of its amount, and is paid when that is": balance_store::PAYMENTS,

    "what is paid out goes to whom it is owed": event_store::PAYEES,

    "what was paid out is booked once, payment by payment": event_store::PAID,

    "what is cleared, paid in, settled by hand and earned is booked one by one": event_store::MOVED,

    "a day's manifest is the text that was signed":
        "select funder_id || ' ' || business_day as subject, 1 as expected, 0 as found
         from funder_day where made_at is not null and sha256(convert_to(manifest, 'UTF8')) <> manifest_sha256",

    "every footing of a day's manifest comes out":
        "select d.funder_id || ' ' || d.business_day || ' ' || (footing ->> 'name') as subject,
                (footing ->> 'left_fen')::bigint as expected, (footing ->> 'right_fen')::bigint as found
         from (select funder_id, business_day, manifest::jsonb as told from funder_day
               where sha256(convert_to(manifest, 'UTF8')) = manifest_sha256) d
         cross join lateral jsonb_array_elements(d.told -> 'footings') as footing
         where footing ->> 'left_fen' <> footing ->> 'right_fen'",

    "the figures of a day's manifest are the sums of its files and of its trial balance":
        "select d.funder_id || ' ' || d.business_day || ' ' || figure.name as subject, figure.fen as expected,
                coalesce((d.told ->> figure.name)::bigint, 0) as found
         from (select funder_id, business_day, manifest::jsonb -> 'figures' as told from funder_day
               where sha256(convert_to(manifest, 'UTF8')) = manifest_sha256
               -- Read once, not for each figure.
               offset 0) d
         cross join lateral (
             select f.table_name || '.' || sum.key as name, sum.value::bigint as fen
             from funder_day_file f cross join lateral jsonb_each_text(f.sums) as sum
             where f.funder_id = d.funder_id and f.business_day = d.business_day
             union all
             select 'book.' || account.name || '.' || side.name, side.fen
             from (values (102, 'reserve_available'), (103, 'reserve_held'), (201, 'loan_principal'), (202, 'funding_in_transit'),
                          (203, 'reserve_at_platform'), (204, 'interest_receivable'), (205, 'interest_income'),
                          (206, 'fee_receivable'), (207, 'funder_fee_income'), (208, 'penalty_income'), (209, 'subsidy_income'),
                          (210, 'collections_in_transit'), (211, 'cash'), (212, 'share_expense'), (213, 'charged_off'),
                          (214, 'charge_off_loss'), (215, 'recovery_income'), (216, 'claims_received'),
                          (217, 'guarantor_payable')) as account(number, name)
             join ledger_day l on l.account = account.number and l.funder_id = d.funder_id and l.business_day = d.business_day
             cross join lateral (values ('debit_fen', l.debit_fen), ('credit_fen', l.credit_fen)) as side(name, fen)) figure
         where figure.fen <> coalesce((d.told ->> figure.name)::bigint, 0)",

    "what came in on a day is what its files tell":
        "select d.funder_id || ' ' || d.business_day as subject, coalesce(came.fen, 0) as expected, d.fen as found
         from (select funder_id, business_day,
                      coalesce((manifest::jsonb -> 'figures' ->> 'repayments.amount_fen')::bigint, 0) as fen
               from funder_day where sha256(convert_to(manifest, 'UTF8')) = manifest_sha256) d
         left join (select funder_id, business_day, sum(amount_fen)::bigint as fen from repayment
                    group by funder_id, business_day) came
              on came.funder_id = d.funder_id and came.business_day = d.business_day
         where coalesce(came.fen, 0) <> d.fen",

    "the books of a day open as those of the day before closed": part_store::OPENED_BOOKS,

    "a day's files are those that its manifest lists, with all their bytes": part_store::DAY_FILES,

    "the files of a day are made within three days": waiting_store::UNMADE,

    "every message was delivered, is tried again, or was discarded with a reason": told_store::GIVEN_UP,

    "no message is left among those that are not kept any more": told_store::GONE,

    "no job is dead":
        "select kind || ' ' || unique_key as subject, 0 as expected, attempts as found from job where status = 'dead'",

    "days are closed one after another, each to its end": part_store::CLOSES,

    "no close that began is left unfinished for a later day": waiting_store::UNFINISHED,

    "no application waits for the risk hook for more than a day": waiting_store::UNDECIDED,

    "no application waits for its funder after the time to answer": waiting_store::UNANSWERED,

    "no order to collect or pay is pending for more than three days": waiting_store::PENDING,

    "no order to collect or pay is put off for more than a fortnight": waiting_store::PUT_OFF,

    "no merchant's payouts are held for more than thirty days": waiting_store::HELD,

    "no payment that the channel refused waits for a person for more than three days": waiting_store::REFUSED,

    "no payment that the channel contradicts itself about waits for two people for more than a week": waiting_store::CONTRADICTED,
}
