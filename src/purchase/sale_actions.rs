//! A merchant's view of its sales: a list by any search, one sale with its refunds and settlement, and all as a table.

use futures_util::Stream;
use futures_util::stream;

use super::sale::{Sale, SaleFilter, SaleRefund, Which};
use super::sale_store::{self, MerchantDays};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::{MerchantId, PurchaseId};
use crate::settlement::model::SettlementRecord;
use crate::{business_day, settlement};

/// Sales on one page of the list.
pub const PAGE_ROWS: i64 = 50;
/// The most rows of a table, as many as spreadsheets take easily; a merchant with more asks for fewer days.
pub const TABLE_ROWS_MAX: usize = 100_000;
/// How many rows of a table are read at once.
const CHUNK_ROWS: i64 = 1_000;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Sales {
    pub rows: Vec<Sale>,
    /// Whether they are the newest.
    pub is_first: bool,
    /// Where the next page begins; `None` at the end.
    pub next: Option<PurchaseId>,
}

/// A page of a merchant's sales, the newest first.
pub async fn list(
    app: &App,
    merchant_id: MerchantId,
    filter: &SaleFilter,
    after: Option<PurchaseId>,
) -> anyhow::Result<Sales> {
    page(app, merchant_id, filter, Piece { after, rows_max: PAGE_ROWS }).await
}

/// Which rows of a list are read at once.
struct Piece {
    after: Option<PurchaseId>,
    rows_max: i64,
}

async fn page(app: &App, merchant_id: MerchantId, filter: &SaleFilter, piece: Piece) -> anyhow::Result<Sales> {
    let Piece { after, rows_max } = piece;
    let mut connection = app.pool.acquire().await?;
    // One more than fits tells whether there is more.
    let limit = rows_max + 1;
    let mut rows = match &filter.which {
        Which::Number(number) => sale_store::list_by_number(&mut connection, merchant_id, number, after, limit).await?,
        Which::Days { from, to } => {
            let of = MerchantDays { merchant_id, from: *from, to: *to };
            sale_store::list(&mut connection, of, filter, after, limit).await?
        }
    };
    let has_more = rows.len() > usize::try_from(rows_max)?;
    rows.truncate(usize::try_from(rows_max)?);
    let next = rows.last().filter(|_| has_more).map(|sale| sale.purchase_id);
    Ok(Sales { rows, is_first: after.is_none(), next })
}

/// All sales of a search in pieces, the newest first, up to [`TABLE_ROWS_MAX`].
pub fn stream(
    app: App,
    merchant_id: MerchantId,
    filter: SaleFilter,
) -> impl Stream<Item = anyhow::Result<Vec<Sale>>> + Send {
    let begin = Some((app, filter, None, TABLE_ROWS_MAX));
    stream::try_unfold(begin, move |state| async move {
        let Some((app, filter, after, left)) = state else { return Ok(None) };
        let mut sales = page(&app, merchant_id, &filter, Piece { after, rows_max: CHUNK_ROWS }).await?;
        sales.rows.truncate(left);
        let left = left - sales.rows.len();
        let state = sales.next.filter(|_| left > 0).map(|next| (app, filter, Some(next), left));
        Ok(Some((sales.rows, state)))
    })
}

/// A sale from gross to net.
#[derive(Clone, Debug)]
pub struct SaleStory {
    pub sale: Sale,
    pub refunds: Vec<SaleRefund>,
    /// The settlement of its day, once the day is closed.
    pub settlement: Option<SettlementRecord>,
    pub today: BusinessDay,
}

/// One sale; `None` where it is another merchant's, or does not exist.
pub async fn story(app: &App, merchant_id: MerchantId, purchase_id: PurchaseId) -> anyhow::Result<Option<SaleStory>> {
    let mut connection = app.pool.acquire().await?;
    let Some(sale) = sale_store::find(&mut connection, merchant_id, purchase_id).await? else { return Ok(None) };
    Ok(Some(SaleStory {
        refunds: sale_store::list_refunds(&mut connection, merchant_id, purchase_id).await?,
        settlement: settlement::store::find_settlement(&mut connection, merchant_id, sale.business_day).await?,
        today: business_day::store::today(&mut connection).await?,
        sale,
    }))
}

/// The business day that is open.
pub async fn today(app: &App) -> anyhow::Result<BusinessDay> {
    Ok(business_day::store::today(&mut *app.pool.acquire().await?).await?)
}
