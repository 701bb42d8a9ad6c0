//! Sends payments and queries what became of them; translates between our types and the channel's protocol.

use crate::base::Fen;
use crate::partner::client::TIME_LIMIT_BATCH;
use crate::partner::{CallError, Client, Operation};

use super::wire::{Order, OrderState, PayRequest, Payee, QueryRequest, State, StatesAnswer};

/// The most payments in one call, and the most keys in one query.
pub const PAYMENTS_MAX: usize = super::wire::ORDERS_MAX;

/// One payment to make. Its key is paid at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub key: String,
    pub amount: Fen,
    pub pay_to: PayTo,
    /// Shown on the payee's bank statement.
    pub remark: String,
}

/// Whom to pay.
#[derive(Clone, PartialEq, Eq)]
pub enum PayTo {
    /// A company's bank account.
    Account { name: String, number: String },
    /// A person's bank card.
    Card { name: String, number: String },
    /// A party whose account was agreed upon with the channel beforehand.
    Registered { code: String },
}

/// Leaves out names and numbers, so that they never get into a log.
impl std::fmt::Debug for PayTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PayTo::Account { .. } => f.write_str("Account(…)"),
            PayTo::Card { .. } => f.write_str("Card(…)"),
            PayTo::Registered { code } => write!(f, "Registered({code})"),
        }
    }
}

/// What the channel said of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub key: String,
    /// The amount as the channel has it; `None` where it has none.
    pub amount: Option<Fen>,
    pub saying: Saying,
}

/// The channel's word on a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    Paid {
        bank_reference: String,
    },
    /// Final: this key will never be paid.
    Failed {
        code: String,
    },
    Processing,
    NeverReceived,
    /// A state that we do not know, or a payment without its reference or amount: counts as no answer.
    Unclear,
}

/// Sends up to [`PAYMENTS_MAX`] payments and returns what the channel says of them.
///
/// # Errors
/// As [`CallError`] says. Only `NotSent` and `Rejected` mean that none was taken; a refusal without a code is `Unknown`.
pub async fn pay(client: &Client, payments: Vec<Payment>) -> Result<Vec<Heard>, CallError> {
    let key = payments.first().map_or_else(String::new, |first| first.key.clone());
    let operation = Operation {
        name: "pay",
        path: "/orders",
        key: &key,
        also: &[],
        // A repetition would be safe, because every order has its key; but a query is cheaper for the channel.
        safe_to_retry: false,
        time_limit: TIME_LIMIT_BATCH,
    };
    let orders = payments.into_iter().map(order).collect();
    let called = client.call(&operation, &PayRequest { orders }).await;
    let answer: StatesAnswer = called.map_err(CallError::unknown_without_code)?;
    Ok(answer.states.into_iter().map(heard).collect())
}

/// Asks what became of up to [`PAYMENTS_MAX`] payments.
///
/// # Errors
/// As [`CallError`] says; then nothing is known.
pub async fn query(client: &Client, order_keys: Vec<String>) -> Result<Vec<Heard>, CallError> {
    let key = order_keys.first().cloned().unwrap_or_default();
    let operation = Operation {
        name: "query",
        path: "/queries",
        key: &key,
        also: &[],
        safe_to_retry: true,
        time_limit: TIME_LIMIT_BATCH,
    };
    let answer: StatesAnswer = client.call(&operation, &QueryRequest { order_keys }).await?;
    Ok(answer.states.into_iter().map(heard).collect())
}

/// Reads the body of a callback whose signature has been verified.
///
/// # Errors
/// It is not in the protocol's form.
pub fn read_callback(body: &[u8]) -> serde_json::Result<Heard> {
    serde_json::from_slice(body).map(heard)
}

fn order(payment: Payment) -> Order {
    let payee = match payment.pay_to {
        PayTo::Account { name, number } => Payee::Account { name, number },
        PayTo::Card { name, number } => Payee::Card { name, number },
        PayTo::Registered { code } => Payee::Registered { code },
    };
    Order { order_key: payment.key, amount_fen: payment.amount.get(), payee, remark: payment.remark }
}

fn heard(state: OrderState) -> Heard {
    // Without the amount it cannot be compared with the payment that was ordered.
    let reference = state.bank_reference.filter(|text| !text.trim().is_empty() && state.amount_fen.is_some());
    let saying = match (state.state, reference) {
        (State::Paid, Some(bank_reference)) => Saying::Paid { bank_reference },
        (State::Failed, _) => Saying::Failed { code: state.code.unwrap_or_else(|| "refused".to_owned()) },
        (State::Processing, _) => Saying::Processing,
        (State::NotFound, _) => Saying::NeverReceived,
        (State::Paid, None) | (State::Other, _) => Saying::Unclear,
    };
    Heard { key: state.order_key, amount: state.amount_fen.map(Fen::new), saying }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Saying {
        read_callback(text.as_bytes()).unwrap().saying
    }

    #[test]
    fn only_words_that_we_know_count() {
        assert_eq!(said(r#"{"order_key":"k","state":"paid"}"#), Saying::Unclear);
        assert_eq!(said(r#"{"order_key":"k","state":"frozen"}"#), Saying::Unclear);
        assert_eq!(said(r#"{"order_key":"k","state":"not_found"}"#), Saying::NeverReceived);
        assert_eq!(said(r#"{"order_key":"k","state":"paid","bank_reference":"B1"}"#), Saying::Unclear);
        let paid = said(r#"{"order_key":"k","state":"paid","amount_fen":994,"bank_reference":"B1"}"#);
        assert_eq!(paid, Saying::Paid { bank_reference: "B1".into() });
        assert_eq!(said(r#"{"order_key":"k","state":"paid","amount_fen":994,"bank_reference":" "}"#), Saying::Unclear);
    }

    #[test]
    fn a_malformed_state_is_silence_about_its_own_payment_alone() {
        let paid = r#"{"order_key":"a","state":"paid","amount_fen":994,"bank_reference":"B1","more":{"deep":[null]}}"#;
        let failed = r#"{"order_key":"c","state":"failed","code":null}"#;
        for malformed in [
            "null",
            "7",
            r#"{"order_key":"b"}"#,
            r#"{"order_key":"b","state":null}"#,
            r#"{"order_key":"b","state":7}"#,
            r#"{"order_key":7,"state":"failed"}"#,
            r#"{"order_key":"b","state":"paid","amount_fen":9.94,"bank_reference":"B2"}"#,
            r#"{"order_key":"b","state":"paid","amount_fen":"994","bank_reference":"B2"}"#,
            r#"{"order_key":"b","state":"paid","amount_fen":1e400,"bank_reference":"B2"}"#,
            r#"{"order_key":"b","state":"failed","code":"\u0000"}"#,
        ] {
            let text = format!(r#"{{"states":[{paid},{malformed},{failed}]}}"#);
            let answer: StatesAnswer = serde_json::from_str(&text).unwrap();
            let heard: Vec<Heard> = answer.states.into_iter().map(heard).collect();
            let keys: Vec<&str> = heard.iter().map(|heard| heard.key.as_str()).collect();
            assert_eq!(keys, ["a", "c"], "{malformed}");
            assert_eq!(heard[0].saying, Saying::Paid { bank_reference: "B1".into() });
            assert_eq!(heard[1].saying, Saying::Failed { code: "refused".into() });
        }
    }
}
