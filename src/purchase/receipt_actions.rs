//! What a merchant's receipts page shows: the lines of a day, the lines that it has missed since a number, and the day's sums.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;

use super::receipt::{DaySums, LATE_MAX, ReceiptKind, ReceiptLine};
use super::receipt_store::{self, Lateness, PaidRow, TellingRow};
use crate::app::App;
use crate::base::id::{MerchantId, PurchaseId};
use crate::base::{BusinessDay, Fen};
use crate::business_day;

/// Lines that a page begins with.
const LISTED_MAX: i64 = 50;
/// How many notices a page that was disconnected is told; if it missed more, it is loaded anew.
const MISSED_MAX: i64 = 200;
/// How many notices of a merchant are read at once while a page is open.
const READ_MAX: i64 = 500;

/// A day at the counter.
#[derive(Clone, Debug)]
pub struct Today {
    /// The newest first.
    pub receipts: Vec<ReceiptLine>,
    pub sums: DaySums,
    /// The number after which the page goes on: the highest that it shows or, on a day without receipts yet, one below all that
    /// can still appear.
    pub last_no: i64,
}

/// The open business day of a merchant, as the page first shows it.
pub async fn today(app: &App, merchant_id: MerchantId) -> anyhow::Result<Today> {
    let mut connection = app.pool.acquire().await?;
    let sums = read_sums(&mut connection, merchant_id).await?;
    let rows = receipt_store::list_of_day(&mut connection, merchant_id, sums.day, LISTED_MAX).await?;
    let last_no = match rows.first() {
        Some(newest) => newest.notice_no,
        None => find_beginning(app, &mut connection, merchant_id).await?,
    };
    Ok(Today { receipts: worded(&mut connection, merchant_id, &rows).await?, sums, last_no })
}

/// What the business day has brought so far.
pub async fn sum_takings_today(app: &App, merchant_id: MerchantId) -> anyhow::Result<DaySums> {
    let mut connection = app.pool.acquire().await?;
    read_sums(&mut connection, merchant_id).await
}

async fn read_sums(connection: &mut PgConnection, merchant_id: MerchantId) -> anyhow::Result<DaySums> {
    let day = business_day::store::today(connection).await?;
    Ok(DaySums { day, takings: receipt_store::sum_takings(connection, merchant_id, day).await? })
}

/// The receipts of a day that has just begun, the earliest first, and its sums.
pub async fn begun(app: &App, merchant_id: MerchantId) -> anyhow::Result<(Numbered, DaySums)> {
    let mut connection = app.pool.acquire().await?;
    let sums = read_sums(&mut connection, merchant_id).await?;
    let mut rows = receipt_store::list_of_day(&mut connection, merchant_id, sums.day, LISTED_MAX).await?;
    rows.reverse();
    Ok((numbered(&mut connection, merchant_id, rows).await?, sums))
}

/// The numbers of notices, each with its lines, in order.
pub type Numbered = Vec<(i64, Vec<ReceiptLine>)>;

/// What a page that shows `day` and was told up to `last_no` has missed, perhaps with some that it knows; `None` if it is more
/// than `MISSED_MAX` notices.
pub async fn load_missed(
    app: &App,
    merchant_id: MerchantId,
    day: BusinessDay,
    last_no: i64,
) -> anyhow::Result<Option<Numbered>> {
    let mut connection = app.pool.acquire().await?;
    let floor = receipt_store::find_floor(&mut connection, merchant_id, Some(last_no), lateness(app)).await?;
    let rows = receipt_store::list_after(&mut connection, &[(merchant_id, floor)], day, MISSED_MAX + 1).await?;
    if rows.len() > usize::try_from(MISSED_MAX)? {
        return Ok(None);
    }
    numbered(&mut connection, merchant_id, rows).await.map(Some)
}

/// The number after which to read in order to miss nothing that appears from now on; some of that may be known already.
pub async fn beginning(app: &App, merchant_id: MerchantId) -> anyhow::Result<i64> {
    let mut connection = app.pool.acquire().await?;
    Ok(find_beginning(app, &mut connection, merchant_id).await?)
}

async fn find_beginning(app: &App, connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<i64> {
    receipt_store::find_floor(connection, merchant_id, None, lateness(app)).await
}

fn lateness(app: &App) -> Lateness {
    Lateness { now: app.clock.now(), seconds_max: i32::try_from(LATE_MAX.as_secs()).unwrap_or(i32::MAX) }
}

/// The merchants' notices of `day` and later, each merchant's above its number in `wanted`, without those that `knows` knows; in
/// order.
pub async fn fresh(
    app: &App,
    mut wanted: Vec<(MerchantId, i64)>,
    day: BusinessDay,
    knows: impl Fn(MerchantId, i64) -> bool,
) -> anyhow::Result<HashMap<MerchantId, Vec<TellingRow>>> {
    let mut connection = app.pool.acquire().await?;
    let mut fresh: HashMap<MerchantId, Vec<TellingRow>> = HashMap::new();
    while !wanted.is_empty() {
        let rows = receipt_store::list_after(&mut connection, &wanted, day, READ_MAX).await?;
        let mut read: HashMap<MerchantId, (i64, i64)> = HashMap::new();
        for row in rows {
            let (count, last_no) = read.entry(row.merchant_id).or_default();
            (*count, *last_no) = (*count + 1, row.notice_no);
            if !knows(row.merchant_id, row.notice_no) {
                fresh.entry(row.merchant_id).or_default().push(row);
            }
        }
        // Merchants with more notices than are read at once are read again from there.
        let more = read.into_iter().filter(|(_, (count, _))| *count >= READ_MAX);
        wanted = more.map(|(merchant_id, (_, last_no))| (merchant_id, last_no)).collect();
    }
    Ok(fresh)
}

/// The lines of what a merchant was told, with the day's sums.
pub async fn load_news(
    app: &App,
    merchant_id: MerchantId,
    rows: Vec<TellingRow>,
) -> anyhow::Result<(Numbered, DaySums)> {
    let mut connection = app.pool.acquire().await?;
    let sums = read_sums(&mut connection, merchant_id).await?;
    Ok((numbered(&mut connection, merchant_id, rows).await?, sums))
}

async fn numbered(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    rows: Vec<TellingRow>,
) -> anyhow::Result<Numbered> {
    let paid = load_paid(connection, merchant_id, &rows).await?;
    Ok(rows.iter().map(|row| (row.notice_no, lines(row, &paid))).collect())
}

async fn worded(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    rows: &[TellingRow],
) -> anyhow::Result<Vec<ReceiptLine>> {
    let paid = load_paid(connection, merchant_id, rows).await?;
    Ok(rows.iter().flat_map(|row| lines(row, &paid).into_iter().rev()).collect())
}

async fn load_paid(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    rows: &[TellingRow],
) -> anyhow::Result<HashMap<PurchaseId, PaidRow>> {
    let named: Vec<PurchaseId> = rows.iter().flat_map(|row| purchases(&row.body)).collect();
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let paid = receipt_store::load_paid(connection, merchant_id, &named).await?;
    Ok(paid.into_iter().map(|row| (row.purchase_id, row)).collect())
}

/// The purchases that a notice names.
fn purchases(body: &Value) -> Vec<PurchaseId> {
    let many = body["purchases"].as_array().into_iter().flatten();
    many.chain(body.get("purchase")).filter_map(|id| id.as_str()?.parse().ok()).collect()
}

/// The lines of one notice, the earliest first.
fn lines(row: &TellingRow, paid: &HashMap<PurchaseId, PaidRow>) -> Vec<ReceiptLine> {
    let amount = Fen::new(row.body["amount_fen"].as_i64().unwrap_or(0));
    let named = purchases(&row.body);
    let line = |key: String, what, purchase_id: Option<PurchaseId>, amount| {
        let known = purchase_id.and_then(|purchase_id| paid.get(&purchase_id));
        let description = known.and_then(|paid| paid.description.clone());
        ReceiptLine {
            key,
            what,
            purchase_id,
            amount,
            periods: known.map(|paid| paid.periods),
            description,
            at: row.created_at,
        }
    };
    let first = named.first().copied();
    match row.kind.as_str() {
        "purchase_voided" => vec![line(format!("void-{}", row.notice_no), ReceiptKind::Voided, first, amount)],
        "refund" => vec![line(format!("back-{}", row.notice_no), ReceiptKind::Refunded, first, amount)],
        _ => {
            let known: Vec<&PaidRow> = named.iter().filter_map(|purchase_id| paid.get(purchase_id)).collect();
            let one = |paid: &&PaidRow| {
                line(paid.purchase_id.to_string(), ReceiptKind::Paid, Some(paid.purchase_id), paid.amount)
            };
            let mut lines: Vec<ReceiptLine> = known.iter().map(one).collect();
            let rest = row.body["count"].as_i64().unwrap_or(1) - i64::try_from(known.len()).unwrap_or(0);
            if rest > 0 {
                let shown: Fen = known.iter().map(|paid| paid.amount).sum();
                let key = format!("more-{}", row.notice_no);
                lines.push(line(key, ReceiptKind::More(rest), None, amount - shown));
            }
            lines
        }
    }
}
