//! SQL of the ledger.

use sqlx::PgConnection;
use uuid::Uuid;

use super::posting::Booked;
use super::{Account, Leg, Posting};
use crate::base::id::{FunderId, LineId};
use crate::base::{BusinessDay, Fen};

/// Writes postings, one statement for all of them. A posting without legs is not written.
pub async fn insert_postings(connection: &mut PgConnection, postings: &[Posting]) -> sqlx::Result<()> {
    let postings: Vec<&Posting> = postings.iter().filter(|posting| !posting.legs.is_empty()).collect();
    if postings.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for posting in &postings {
        columns.push(posting);
    }
    sqlx::query!(
        // Columns of fixed size without nulls are read by index: unnesting them, too, would cost three times as much per row.
        "insert into posting (posting_id, line_id, funder_id, event, source_id, debit, credit, amount_fen, corrects,
                              business_day, posted_at)
         select ($1::uuid[])[p.place], ($2::uuid[])[p.place], ($3::uuid[])[p.place], p.event, ($5::uuid[])[p.place],
                ($6::smallint[])[p.first:p.last], ($7::smallint[])[p.first:p.last], ($8::bigint[])[p.first:p.last],
                p.corrects, ($12::date[])[p.place], ($13::timestamptz[])[p.place]
         from unnest($4::text[], $9::int[], $10::int[], $11::uuid[]) with ordinality
              as p(event, first, last, corrects, place)",
        &columns.posting_id,
        &columns.line_id,
        &columns.funder_id,
        &columns.event as &[&str],
        &columns.source_id,
        &columns.debit,
        &columns.credit,
        &columns.amount_fen,
        &columns.first,
        &columns.last,
        &columns.corrects as &[Option<Uuid>],
        &columns.business_day,
        &columns.posted_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the sums of a day by funder and account, and returns how many. Legs are first summed by their pair of accounts, of
/// which there are few, so that each posting is read only once.
pub async fn sum_day(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<u64> {
    let summed = sqlx::query!(
        "with moved as (
             select p.funder_id, p.debit[leg.place] as debit, p.credit[leg.place] as credit, fen_sum(leg.amount_fen) as fen
             from posting p cross join lateral unnest(p.amount_fen) with ordinality as leg(amount_fen, place)
             where p.business_day = $1
             group by 1, 2, 3)
         insert into ledger_day (business_day, funder_id, account, debit_fen, credit_fen)
         select $1, moved.funder_id, side.account, fen_sum(side.debit_fen), fen_sum(side.credit_fen)
         from moved
         cross join lateral (values (moved.debit, moved.fen, 0), (moved.credit, 0, moved.fen))
                            as side(account, debit_fen, credit_fen)
         group by moved.funder_id, side.account
         on conflict (business_day, funder_id, account)
         do update set debit_fen = excluded.debit_fen, credit_fen = excluded.credit_fen",
        day.date()
    )
    .execute(connection)
    .await?;
    Ok(summed.rows_affected())
}

/// The balance of an account (debit less credit) over all postings of a funder, closed days and today.
pub async fn balance(connection: &mut PgConnection, funder_id: FunderId, account: Account) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(case when leg.debit = $2 then leg.amount_fen else 0 end
                     - case when leg.credit = $2 then leg.amount_fen else 0 end), 0)::bigint as "balance!: Fen"
           from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
           where p.funder_id = $1 and (leg.debit = $2 or leg.credit = $2)"#,
        funder_id.uuid(),
        account.number()
    )
    .fetch_one(connection)
    .await
}

/// The postings of an event about one source, booked on `from` or later, that no other posting has corrected.
///
/// # Errors
/// Failures of the database, and a leg with an account that is none of the chart's.
pub async fn find_uncorrected(
    connection: &mut PgConnection,
    event: &str,
    source_id: Uuid,
    from: BusinessDay,
) -> sqlx::Result<Vec<Booked>> {
    let rows = sqlx::query!(
        r#"select p.posting_id, p.line_id, p.funder_id as "funder_id: FunderId", p.debit, p.credit, p.amount_fen
           from posting p
           where p.business_day >= $3 and p.event = $1 and p.source_id = $2
             and not exists (select from posting c where c.business_day >= $3 and c.corrects = p.posting_id)
           order by p.posting_id"#,
        event,
        source_id,
        from.date()
    )
    .fetch_all(connection)
    .await?;
    let booked = rows.into_iter().map(|row| {
        let line_id = Some(row.line_id).filter(|line_id| !line_id.is_nil()).map(LineId::from_uuid);
        let legs = legs(&row.debit, &row.credit, &row.amount_fen)?;
        Ok(Booked { posting_id: row.posting_id, line_id, funder_id: row.funder_id, source_id, legs })
    });
    booked.collect()
}

/// One leg of a posting on a line, as borrowers and operators are shown it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub posting_id: Uuid,
    pub event: String,
    pub debit: Account,
    pub credit: Account,
    pub amount: Fen,
    pub business_day: BusinessDay,
}

/// The legs of the postings on a line that have these sources and these days, in order of time.
///
/// # Errors
/// As [`find_uncorrected`].
pub async fn list_entries(
    connection: &mut PgConnection,
    line_id: LineId,
    sources: &[Uuid],
    days: &[BusinessDay],
) -> sqlx::Result<Vec<Entry>> {
    let days: Vec<chrono::NaiveDate> = days.iter().map(|day| day.date()).collect();
    let rows = sqlx::query!(
        r#"select p.posting_id, p.event, leg.debit as "debit!", leg.credit as "credit!", leg.amount_fen as "amount!: Fen",
                  p.business_day as "business_day: BusinessDay"
           from posting p
           cross join lateral unnest(p.debit, p.credit, p.amount_fen) with ordinality as leg(debit, credit, amount_fen, place)
           where p.business_day = any($3) and p.line_id = $1 and p.source_id = any($2)
           order by p.posted_at, p.posting_id, leg.place"#,
        line_id.uuid(),
        sources,
        &days
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().map(|row| {
        let (debit, credit) = (account(row.debit)?, account(row.credit)?);
        let (posting_id, event, amount, business_day) = (row.posting_id, row.event, row.amount, row.business_day);
        Ok(Entry { posting_id, event, debit, credit, amount, business_day })
    });
    entries.collect()
}

fn legs(debit: &[i16], credit: &[i16], amount_fen: &[i64]) -> sqlx::Result<Vec<Leg>> {
    let columns = debit.iter().zip(credit).zip(amount_fen);
    columns
        .map(|((debit, credit), fen)| {
            Ok(Leg { debit: account(*debit)?, credit: account(*credit)?, amount: Fen::new(*fen) })
        })
        .collect()
}

fn account(number: i16) -> sqlx::Result<Account> {
    Account::from_number(number).ok_or_else(|| sqlx::Error::Decode(format!("{number} is no account").into()))
}

/// Postings by column, with all legs in one run; `first` and `last` are the (one-based) bounds of each posting's legs.
#[derive(Default)]
struct Columns {
    posting_id: Vec<Uuid>,
    line_id: Vec<Uuid>,
    funder_id: Vec<Uuid>,
    event: Vec<&'static str>,
    source_id: Vec<Uuid>,
    first: Vec<i32>,
    last: Vec<i32>,
    debit: Vec<i16>,
    credit: Vec<i16>,
    amount_fen: Vec<i64>,
    corrects: Vec<Option<Uuid>>,
    business_day: Vec<chrono::NaiveDate>,
    posted_at: Vec<chrono::DateTime<chrono::Utc>>,
}

impl Columns {
    fn push(&mut self, posting: &Posting) {
        self.posting_id.push(posting.posting_id);
        self.line_id.push(posting.line_id.map_or(Uuid::nil(), |line_id| line_id.uuid()));
        self.funder_id.push(posting.funder_id.uuid());
        self.event.push(posting.event);
        self.source_id.push(posting.source_id);
        self.first.push(self.amount_fen.len() as i32 + 1);
        for leg in &posting.legs {
            self.debit.push(leg.debit.number());
            self.credit.push(leg.credit.number());
            self.amount_fen.push(leg.amount.get());
        }
        self.last.push(self.amount_fen.len() as i32);
        self.corrects.push(posting.corrects);
        self.business_day.push(posting.business_day.date());
        self.posted_at.push(posting.posted_at);
    }
}
