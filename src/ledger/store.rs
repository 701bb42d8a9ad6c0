//! SQL of the ledger.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Posting;

/// Writes postings, one statement for all of them. A posting without legs is not written.
pub async fn insert_postings(connection: &mut PgConnection, postings: &[Posting]) -> sqlx::Result<()> {
    let postings: Vec<&Posting> = postings.iter().filter(|posting| !posting.legs.is_empty()).collect();
    if postings.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::with_capacity(postings.len());
    for posting in &postings {
        columns.push(posting);
    }
    sqlx::query!(
        "insert into posting (posting_id, line_id, funder_id, event, source_id, debit, credit, amount_fen, corrects,
                              business_day, posted_at)
         select p.posting_id, p.line_id, p.funder_id, p.event, p.source_id,
                ($6::smallint[])[p.first:p.last], ($7::smallint[])[p.first:p.last], ($8::bigint[])[p.first:p.last],
                p.corrects, p.business_day, p.posted_at
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $9::int[], $10::int[], $11::uuid[],
                     $12::date[], $13::timestamptz[])
              as p(posting_id, line_id, funder_id, event, source_id, first, last, corrects, business_day, posted_at)",
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
    fn with_capacity(count: usize) -> Columns {
        Columns { posting_id: Vec::with_capacity(count), ..Columns::default() }
    }

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
