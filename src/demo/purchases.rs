//! Purchases from a file in the format of `installment_purchases.csv`: what is bought in the demo.

use std::collections::HashSet;

use super::rows::{HeaderError, Row, RowError, Rows};
use crate::base::Fen;

pub const COLUMNS: [&str; 4] = ["order", "sequence", "periods", "amount_fen"];

const PERIODS_MAX: i64 = 24;
/// A million yuan: more than any purchase in installments.
const AMOUNT_MAX_FEN: i64 = 100_000_000;

/// One payment of an online order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseRecord {
    /// Identifies the order together with `sequence`.
    pub order: String,
    pub sequence: u32,
    /// From 0 to 24. The real file has orders with 0 periods, which are requested like that and refused.
    pub periods: u16,
    pub amount: Fen,
}

/// Purchases of a file in its order; a row that cannot be used is an error among them.
pub struct Purchases<'t> {
    rows: Rows<'t>,
    seen: HashSet<(String, u32)>,
}

impl<'t> Purchases<'t> {
    /// Begins to read a file.
    ///
    /// # Errors
    /// If the header lacks a column.
    pub fn open(text: &'t [u8]) -> Result<Purchases<'t>, HeaderError> {
        Ok(Purchases { rows: Rows::open(text, &COLUMNS)?, seen: HashSet::new() })
    }
}

impl Iterator for Purchases<'_> {
    type Item = Result<PurchaseRecord, RowError>;
    fn next(&mut self) -> Option<Self::Item> {
        let Purchases { rows, seen } = self;
        rows.next_with(|row| {
            let record = parse(row)?;
            // Together they are the idempotency key of the purchase, so a repetition is left out.
            if seen.insert((record.order.clone(), record.sequence)) {
                Ok(record)
            } else {
                let allowed = "a number that no row before it has with this order".to_owned();
                Err(row.refuse(COLUMNS[1], row.text(1), allowed))
            }
        })
    }
}

fn parse(row: &Row<'_>) -> Result<PurchaseRecord, RowError> {
    let order = row.text(0);
    if order.is_empty() || order.len() > 64 || !order.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(row.refuse(COLUMNS[0], order, "1 to 64 letters and digits".into()));
    }
    Ok(PurchaseRecord {
        order: order.to_owned(),
        // The bounds fit the types.
        sequence: row.number(1, 1, 999)? as u32,
        periods: row.number(2, 0, PERIODS_MAX)? as u16,
        amount: Fen::new(row.number(3, 1, AMOUNT_MAX_FEN)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("sample/purchases.csv");

    #[test]
    fn the_shipped_sample_reads_without_an_error() {
        let purchases: Result<Vec<PurchaseRecord>, RowError> = Purchases::open(SAMPLE.as_bytes()).unwrap().collect();
        assert_eq!(purchases.unwrap().len(), 1_200);
    }

    #[test]
    fn too_many_periods_are_refused_with_row_and_column() {
        let text = "order,sequence,periods,amount_fen\nab12,1,3,9933\nab13,1,25,100\n";
        let read: Vec<_> = Purchases::open(text.as_bytes()).unwrap().collect();
        assert_eq!(read[0].as_ref().unwrap().amount, Fen::new(9_933));
        assert_eq!(
            read[1].as_ref().unwrap_err().to_string(),
            "row 3, column periods: found \"25\", allowed is a whole number from 0 to 24"
        );
    }

    #[test]
    fn an_order_is_read_once_with_each_sequence() {
        let text = "order,sequence,periods,amount_fen\nab12,1,3,9933\nab12,2,3,9933\nab12,1,6,100\n";
        let read: Vec<_> = Purchases::open(text.as_bytes()).unwrap().collect();
        assert!(read[0].is_ok() && read[1].is_ok());
        let refused = read[2].as_ref().unwrap_err();
        assert_eq!((refused.row, refused.column, refused.found.as_str()), (4, "sequence", "1"));
    }
}
