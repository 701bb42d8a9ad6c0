//! Checking a channel's callback before it is posted.

use super::result_actions::{ChannelResult, Posted, post_results};
use super::store;
use super::withholding::Step;
use crate::app::App;
use crate::error::{Fault, Outcome, Refusal};
use crate::partner::withholding::{ChannelName, Heard};

/// Why a callback is not believed although its channel signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    #[error("the callback names another merchant")]
    OtherMerchant,
    #[error("the callback names an order that this channel was not sent")]
    UnknownOrder,
    #[error("the callback names another amount than was asked for")]
    OtherAmount,
}

impl Refusal for CallbackRefusal {
    fn code(&self) -> &'static str {
        match self {
            CallbackRefusal::OtherMerchant => "other_merchant",
            CallbackRefusal::UnknownOrder => "unknown_order",
            CallbackRefusal::OtherAmount => "other_amount",
        }
    }
}

/// Posts a callback whose signature was verified, if merchant, order, channel and amount are the ones that we sent. Repeating a
/// callback changes nothing.
pub async fn hear(app: &App, channel: ChannelName, heard: Heard) -> Outcome<Posted, CallbackRefusal> {
    let client = app.partners.client(channel.partner()).map_err(anyhow::Error::new)?;
    if heard.merchant_id != client.our_mchid() {
        return Err(Fault::Refused(CallbackRefusal::OtherMerchant));
    }
    let mut connection = app.pool.acquire().await?;
    let order = store::load_withholdings(&mut connection, &[heard.withholding_id.uuid()]).await?.pop();
    drop(connection);
    let Some(order) = order.filter(|order| order.channel == channel && order.was_sent()) else {
        return Err(Fault::Refused(CallbackRefusal::UnknownOrder));
    };
    if heard.amount != order.amount {
        return Err(Fault::Refused(CallbackRefusal::OtherAmount));
    }
    // "No such order" counts only as the answer to a query that was made late enough.
    let answer = heard.answer.unless_absent();
    // Callbacks may come late or twice; one that says nothing new locks nothing.
    if !order.is_pending() && order.receive(&answer) == Step::AlreadyApplied {
        return Ok(Posted { already_applied: 1, ..Posted::default() });
    }
    let result = ChannelResult { withholding_id: order.withholding_id, line_id: order.line_id, answer };
    Ok(post_results(app, &[result]).await?)
}
