//! The payout channel's words: orders in, one state for each; the same states by query and by callback.

use serde::{Deserialize, Serialize};

use crate::partner::each::each;

/// The most orders in one call, and the most keys in one query.
pub const ORDERS_MAX: usize = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayRequest {
    pub orders: Vec<Order>,
}

/// One payment. The channel pays each key at most once and answers a repetition with the state of the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Ours: `pay_…-1`, the payout and its attempt.
    pub order_key: String,
    pub amount_fen: i64,
    pub payee: Payee,
    /// Shown on the payee's bank statement.
    pub remark: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Payee {
    /// A company's bank account.
    Account { name: String, number: String },
    /// A person's bank card.
    Card { name: String, number: String },
    /// A party whose account was agreed upon beforehand: a funder.
    Registered { code: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    pub order_keys: Vec<String>,
}

/// One state for each order or key of the request, in any order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatesAnswer {
    #[serde(deserialize_with = "each")]
    pub states: Vec<OrderState>,
}

/// What the channel knows of an order; also the body of its callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    pub order_key: String,
    pub state: State,
    /// Of the order as the channel has it; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// The bank's reference of a payment that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<String>,
    /// Why an order was not paid, such as `account_closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Paid,
    /// Final: this key will never be paid.
    Failed,
    /// Received, not decided.
    Processing,
    /// By query: never received.
    NotFound,
    /// A word that we do not know: as good as no answer.
    #[serde(other)]
    Other,
}
