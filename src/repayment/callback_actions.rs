//! Believing a channel's callback, or not.

use super::result_actions::{ChannelResult, Posted, post_results};
use super::store;
use super::withholding::Step;
use crate::app::App;
use crate::error::{Fault, Outcome, Refusal};
use crate::partner::withholding::{ChannelName, Heard};

/// Why a callback, though signed by its channel, is not believed.
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

/// Posts a callback whose signature was believed, if merchant, order, channel and amount are what we sent. The same callback
/// again changes nothing.
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
    // That a channel has no such order is believed only when it is asked, late enough.
    let answer = heard.answer.unless_absent();
    // A channel calls back late or twice what it has said by then: nobody waits for such a line, and nothing is locked for it.
    if !order.is_pending() && order.receive(&answer) == Step::AlreadyApplied {
        return Ok(Posted { already_applied: 1, ..Posted::default() });
    }
    let result = ChannelResult { withholding_id: order.withholding_id, line_id: order.line_id, answer };
    Ok(post_results(app, &[result]).await?)
}
