//! Orders opened by hand at the counter: the list, the form, and the page with the code to show.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::code::token;
use super::h5::MerchantSignedIn;
use super::order::{DESCRIPTION_CHARS_MAX, HandOrder, OrderState, Waits, is_sold, parse_description};
use super::order_actions::{self, HandOrderRequest};
use super::{CodeRefusal, Right, picture};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::CodeId;
use crate::base::typed::typed_amount;
use crate::error::Fault;
use crate::http::Problem;
use crate::page::part::{self, Awaited};
use crate::page::{Form, Page, unprocessable};

/// How many orders one page of the list shows.
const LISTED: usize = 30;

#[derive(Deserialize)]
pub struct Wanted {
    /// Only orders that are older than this one.
    before: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/orders.html")]
pub struct ListPage {
    page: Page,
    signed_in: MerchantSignedIn,
    orders: Vec<(HandOrder, OrderState)>,
    /// The last order shown, where there are older ones.
    older: Option<CodeId>,
}

/// `GET /m/orders`
pub async fn list(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<ListPage, Problem> {
    signed_in.require(Right::MakeOrders)?;
    let before = wanted.before.as_deref().map(str::parse).transpose().map_err(|_| Problem::not_found())?;
    let limit = i64::try_from(LISTED + 1).unwrap_or(i64::MAX);
    let mut orders = order_actions::list_orders(&app, signed_in.merchant_id, before, limit).await?;
    let has_more = orders.len() > LISTED;
    orders.truncate(LISTED);
    let older = orders.last().filter(|_| has_more).map(|order| order.code_id);
    let now = app.clock.now();
    let orders = orders.into_iter().map(|order| {
        let state = order.state(now);
        (order, state)
    });
    Ok(ListPage { page, signed_in, orders: orders.collect(), older })
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/order_new.html")]
pub struct NewPage {
    page: Page,
    form: Form,
    signed_in: MerchantSignedIn,
    /// The least and the greatest amount of each product that is sold here.
    amounts: Vec<(Fen, Fen)>,
}

impl NewPage {
    /// The least and the greatest amount of one purchase; none where nothing is sold.
    fn bounds(&self) -> Option<(Fen, Fen)> {
        let amounts = self.amounts.iter().copied();
        amounts.reduce(|(least, most), (low, high)| (least.min(low), most.max(high)))
    }

    fn waits(&self) -> [Waits; 5] {
        Waits::ALL
    }

    fn description_length(&self) -> usize {
        DESCRIPTION_CHARS_MAX
    }
}

/// `GET /m/orders/new`
pub async fn new(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<NewPage, Problem> {
    signed_in.require(Right::MakeOrders)?;
    let form = Form::filled([("key", new_key(&app)), ("waits", Waits::Minutes30.name().to_owned())]);
    let amounts = order_actions::amounts_sold(&app, signed_in.merchant_id).await?;
    Ok(NewPage { page, form, signed_in, amounts })
}

/// A new id for the order that a form opens.
fn new_key(app: &App) -> String {
    CodeId::mint(app.clock.now()).to_string()
}

/// `POST /m/orders/new`
pub async fn open(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    signed_in.require(Right::MakeOrders)?;
    let code_id: CodeId = form.value("key").parse().map_err(|_| Problem::not_found())?;
    let amounts = order_actions::amounts_sold(&app, signed_in.merchant_id).await?;
    // An order that nobody could pay is not shown to anybody.
    let amount = form.read("amount", |typed| {
        let amount = typed_amount(typed)?;
        if is_sold(&amounts, amount) { Ok(amount) } else { Err("amount_not_sold") }
    });
    let description = match form.value("description") {
        "" => Some(None),
        _ => form.read("description", parse_description).map(Some),
    };
    let waits = form.read("waits", str::parse::<Waits>);
    let (Some(amount), Some(description), Some(waits)) = (amount, description, waits) else {
        return Ok(unprocessable(NewPage { page, form, signed_in, amounts }));
    };
    let request = HandOrderRequest { code_id, by: &signed_in.staff, amount, description, waits };
    match order_actions::open_by_hand(&app, &request).await {
        Ok(code_id) => Ok(Redirect::to(&format!("/m/orders/{code_id}")).into_response()),
        Err(Fault::Refused(refusal)) => {
            if matches!(refusal, CodeRefusal::ReferenceTaken { .. }) {
                // Somebody went back to a form that has opened an order, and wants another one: under a new key, sending it
                // again opens that.
                form.fill("key", &new_key(&app));
            }
            form.refuse(&refusal);
            Ok(unprocessable(NewPage { page, form, signed_in, amounts }))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// An order with its code; `state` is the part that updates itself.
#[derive(Template, WebTemplate)]
#[template(path = "merchant/order.html", blocks = ["state"])]
pub struct OrderPage {
    page: Page,
    signed_in: MerchantSignedIn,
    order: HandOrder,
    state: OrderState,
    /// Whether the part of the page asks again for changes.
    is_awaited: bool,
    /// The code's picture, and the link in it; only while somebody may pay.
    code: Option<(String, String)>,
}

/// `GET /m/orders/{order}`; the part that changes asks for itself again and again.
pub async fn show(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(order): Path<String>,
    Query(awaited): Query<Awaited>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    signed_in.require(Right::MakeOrders)?;
    let code_id = order.parse().map_err(|_| Problem::not_found())?;
    let order = order_actions::find_order(&app, signed_in.merchant_id, code_id).await?;
    let order = order.ok_or_else(Problem::not_found)?;
    let now = app.clock.now();
    let (state, is_awaited) = (order.state(now), order.is_awaited(now));
    let is_part = part::is_part(&headers);
    if is_part && is_awaited && awaited.seen == state.name() {
        return Ok(part::unchanged());
    }
    let code = if state == OrderState::Open {
        let link = app.site.link(format!("/q/{}", token(code_id)));
        Some((picture::svg(&link)?, link))
    } else {
        None
    };
    let shown = OrderPage { page, signed_in, order, state, is_awaited, code };
    if is_part {
        return part::changed(shown.as_state().render());
    }
    Ok(shown.into_response())
}

/// `POST /m/orders/{order}/close`
pub async fn close(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(order): Path<String>,
) -> Result<Redirect, Problem> {
    signed_in.require(Right::MakeOrders)?;
    let code_id: CodeId = order.parse().map_err(|_| Problem::not_found())?;
    match order_actions::close_order(&app, signed_in.merchant_id, code_id).await {
        Ok(_) => page.visit.flash("flash-order-closed"),
        // Paid in the meantime: its page says so.
        Err(Fault::Refused(CodeRefusal::OrderPaid | CodeRefusal::OrderVoided)) => {}
        Err(Fault::Refused(_)) => return Err(Problem::not_found()),
        Err(failed) => return Err(failed.into()),
    }
    Ok(Redirect::to(&format!("/m/orders/{code_id}")))
}
