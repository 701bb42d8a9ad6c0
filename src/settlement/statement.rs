//! A settlement's statement for a merchant's system, as CSV: every purchase and refund from gross to net, and their sums.

use super::story::{PurchaseLine, RefundLine};
use crate::base::Fen;

const COLUMNS: [&str; 9] = [
    "kind",
    "id",
    "purchase_id",
    "reference",
    "created_at",
    "amount_fen",
    "discount_fee_fen",
    "subsidy_fen",
    "net_fen",
];

/// A statement that is being written, with the sums of the rows so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement {
    amount: Fen,
    fee: Fen,
    subsidy: Fen,
    net: Fen,
}

impl Statement {
    /// The names of the columns, as one row of CSV.
    pub fn heading() -> csv::Result<Vec<u8>> {
        write([COLUMNS.map(str::to_owned)])
    }

    /// One row for each purchase; charges are negative.
    pub fn purchases(&mut self, lines: &[PurchaseLine]) -> csv::Result<Vec<u8>> {
        write(lines.iter().map(|line| {
            let id = line.purchase_id.to_string();
            let named = [
                "purchase".to_owned(),
                id.clone(),
                id,
                of_order(line.order_reference.as_deref()),
                line.created_at.to_rfc3339(),
            ];
            self.row(named, [line.amount, -line.discount_fee, -line.subsidy, line.net()])
        }))
    }

    /// One row for each refund; amounts are negative, returned charges positive.
    pub fn refunds(&mut self, lines: &[RefundLine]) -> csv::Result<Vec<u8>> {
        write(lines.iter().map(|line| {
            let (id, of) = (line.refund_id.to_string(), line.purchase_id.to_string());
            let named =
                ["refund".to_owned(), id, of, of_order(line.order_reference.as_deref()), line.created_at.to_rfc3339()];
            self.row(named, [-line.amount, line.discount_returned, line.subsidy_returned, line.net()])
        }))
    }

    /// The last row: the settlement's figures.
    pub fn sums(&self) -> csv::Result<Vec<u8>> {
        let named = ["sum", "", "", "", ""].map(str::to_owned);
        write([joined(named, [self.amount, self.fee, self.subsidy, self.net])])
    }

    fn row(&mut self, named: [String; 5], figures: [Fen; 4]) -> [String; 9] {
        let [amount, fee, subsidy, net] = figures;
        self.amount += amount;
        self.fee += fee;
        self.subsidy += subsidy;
        self.net += net;
        joined(named, figures)
    }
}

/// The order's reference; empty for a static code.
fn of_order(reference: Option<&str>) -> String {
    reference.unwrap_or_default().to_owned()
}

fn joined(named: [String; 5], figures: [Fen; 4]) -> [String; 9] {
    let [kind, id, of, reference, at] = named;
    let [amount, fee, subsidy, net] = figures.map(|fen| fen.get().to_string());
    [kind, id, of, reference, at, amount, fee, subsidy, net]
}

fn write(rows: impl IntoIterator<Item = [String; 9]>) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
