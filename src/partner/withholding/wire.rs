//! The words of both withholding channels, as they travel.

/// Channel alpha: codes in words, whole fen, CSV with commas.
pub mod alpha {
    use serde::{Deserialize, Serialize};

    use crate::partner::each::each;

    /// The name under which it is configured.
    pub const NAME: &str = "withholding_a";
    /// The most orders in one call, and the most numbers in one question.
    pub const ORDERS_MAX: usize = 500;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Batch {
        pub orders: Vec<Order>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Order {
        /// Ours; the channel takes each once, whatever it was answered.
        pub out_order_no: String,
        pub agreement_no: String,
        /// In fen.
        pub amount: i64,
        /// Whether less may be taken where the card does not hold all.
        pub allow_part: bool,
        /// `2026-01-05`: the daily file that the order belongs to.
        pub trade_date: String,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Question {
        pub out_order_nos: Vec<String>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct Answers {
        #[serde(deserialize_with = "each")]
        pub results: Vec<Answer>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct Answer {
        pub out_order_no: String,
        /// `SUCCESS`, `PROCESSING`, `BALANCE_LOW`, `CARD_CLOSED`, `AGREEMENT_ENDED`, `RISK_REFUSED`, `BANK_DOWN`, `NOT_EXIST`.
        pub code: String,
        /// In fen; with `SUCCESS`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub paid_amount: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub trade_no: Option<String>,
    }

    /// What the channel calls back.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct Callback {
        pub mch_id: String,
        pub out_order_no: String,
        /// What we asked for, in fen.
        pub amount: i64,
        pub code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub paid_amount: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub trade_no: Option<String>,
    }
}

/// Channel beta: numbers for codes, yuan with two decimals, text with bars.
pub mod beta {
    use serde::{Deserialize, Serialize};

    use crate::partner::each::each;

    /// The name under which it is configured.
    pub const NAME: &str = "withholding_b";
    /// The most orders in one call, and the most numbers in one question.
    pub const ORDERS_MAX: usize = 500;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Batch {
        pub reqs: Vec<Order>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Order {
        pub req_sn: String,
        pub contract_no: String,
        /// Yuan, `123.45`.
        pub amt: String,
        /// `Y` or `N`.
        pub part: String,
        /// `20260105`.
        pub settle_day: String,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Question {
        pub req_sns: Vec<String>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Answers {
        #[serde(deserialize_with = "each")]
        pub rsps: Vec<Answer>,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Answer {
        pub req_sn: String,
        /// `0000` taken, `2000` in work, `3008` too little money, `3004` no such card, `3051` contract ended,
        /// `3999` refused, `1002` the bank is down, `1000` no such request.
        pub ret_code: String,
        /// Yuan; with `0000`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub amt_paid: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub serial: Option<String>,
    }

    /// What the channel calls back.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Callback {
        pub mer_id: String,
        pub req_sn: String,
        /// What we asked for, in yuan.
        pub amt: String,
        pub ret_code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub amt_paid: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub serial: Option<String>,
    }
}
