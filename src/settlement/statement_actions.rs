//! Streams a statement piece by piece, so that memory holds only one piece: a large merchant's day is larger than any other answer.

use axum::body::Bytes;
use futures_util::stream::{Stream, try_unfold};

use super::statement::Statement;
use super::story_store;
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::{MerchantId, PurchaseId, RefundId};
use crate::merchant::MerchantDay;

/// Lines in a piece, about 150 bytes each.
const CHUNK_LINES: i64 = 2_000;

/// How far it has been read, by the last line.
enum Reading {
    Heading,
    Purchases(Option<PurchaseId>),
    Refunds(Option<RefundId>),
    Sums,
    Done,
}

/// The statement of a settled day. A settled day never changes, so reading it again gives the same bytes.
pub fn statement(
    app: App,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> impl Stream<Item = anyhow::Result<Bytes>> + Send + use<> {
    let begin = (app, Statement::default(), Reading::Heading);
    try_unfold(begin, move |(app, mut statement, reading)| async move {
        let of = MerchantDay { merchant_id, day };
        let (piece, next) = match reading {
            Reading::Heading => (Statement::heading()?, Reading::Purchases(None)),
            Reading::Purchases(after) => {
                let mut connection = app.pool.acquire().await?;
                let lines = story_store::list_purchases(&mut connection, of, after, CHUNK_LINES).await?;
                let last = lines.last().filter(|_| is_full(lines.len())).map(|line| line.purchase_id);
                let next = last.map_or(Reading::Refunds(None), |last| Reading::Purchases(Some(last)));
                (statement.purchases(&lines)?, next)
            }
            Reading::Refunds(after) => {
                let mut connection = app.pool.acquire().await?;
                let lines = story_store::list_refunds(&mut connection, of, after, CHUNK_LINES).await?;
                let last = lines.last().filter(|_| is_full(lines.len())).map(|line| line.refund_id);
                let next = last.map_or(Reading::Sums, |last| Reading::Refunds(Some(last)));
                (statement.refunds(&lines)?, next)
            }
            Reading::Sums => (statement.sums()?, Reading::Done),
            Reading::Done => return Ok(None),
        };
        Ok(Some((Bytes::from(piece), (app, statement, next))))
    })
}

fn is_full(lines: usize) -> bool {
    i64::try_from(lines) == Ok(CHUNK_LINES)
}
