//! A merchant's pages of its sales: the list with its search, the table to download, and one sale from gross to net.

use askama::Template;
use askama_web::WebTemplate;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::sale::{DAYS_SHOWN, Sale, SaleFilter, SaleState, WayBack, Which};
use super::sale_actions::{self, SaleStory, Sales};
use crate::app::App;
use crate::base::id::PurchaseId;
use crate::base::typed::{typed_amount, typed_day};
use crate::base::{BusinessDay, Fen};
use crate::http::Problem;
use crate::merchant::{MerchantSignedIn, Role};
use crate::page::sheet::{self, Cell, Sheet};
use crate::page::{Form, Page, unprocessable};

/// More periods than any plan has.
const PERIODS_MAX: i16 = 360;
/// Longer than any number of ours.
const NUMBER_CHARS_MAX: usize = 64;

/// A search as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    number: String,
    amount: String,
    from: String,
    to: String,
    state: String,
    periods: String,
    /// The last sale of the page before.
    after: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/sales.html")]
pub struct SalesPage {
    page: Page,
    signed_in: MerchantSignedIn,
    form: Form,
    /// The search as the query of an address, for the next page and the table.
    query: String,
    sales: Sales,
    /// Its days were chosen.
    has_days: bool,
    periods: Vec<i16>,
}

/// `GET /m/purchases`
pub async fn list(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let search = Search::read(&app, &asked).await?;
    let after = asked.after.parse::<PurchaseId>().ok();
    let sales = match &search.filter {
        Some(filter) => sale_actions::list(&app, signed_in.merchant_id, filter, after).await?,
        None => return search.refused(&app, page, signed_in).await,
    };
    Ok(search.shown(&app, page, signed_in, sales).await?.into_response())
}

/// A search as it was filled in; without a filter where a field is wrong.
struct Search {
    form: Form,
    filter: Option<SaleFilter>,
    has_days: bool,
}

impl Search {
    async fn read(app: &App, asked: &Asked) -> anyhow::Result<Search> {
        let today = sale_actions::today(app).await?;
        let (form, filter) = read(asked, today);
        Ok(Search { form, filter, has_days: !asked.from.is_empty() || !asked.to.is_empty() })
    }

    async fn shown(
        self,
        app: &App,
        page: Page,
        signed_in: MerchantSignedIn,
        sales: Sales,
    ) -> anyhow::Result<SalesPage> {
        let Search { form, filter, has_days } = self;
        let periods = periods(app, filter.and_then(|filter| filter.periods)).await?;
        let query = query(&form);
        Ok(SalesPage { page, signed_in, form, query, sales, has_days, periods })
    }

    /// The search again with what is wrong beside its fields.
    async fn refused(self, app: &App, page: Page, signed_in: MerchantSignedIn) -> Result<Response, Problem> {
        let none = Sales { rows: Vec::new(), is_first: true, next: None };
        let shown = self.shown(app, page, signed_in, none).await?;
        Ok(unprocessable(shown))
    }
}

impl SalesPage {
    /// The rows by their business day.
    fn days(&self) -> Vec<(BusinessDay, &[Sale])> {
        let days = self.sales.rows.chunk_by(|one, next| one.business_day == next.business_day);
        days.filter_map(|rows| rows.first().map(|sale| (sale.business_day, rows))).collect()
    }

    /// Whether the search says more than a number.
    fn is_narrowed(&self) -> bool {
        let is_filled = |name: &str| !self.form.value(name).is_empty();
        self.form.is_refused() || self.has_days || ["amount", "state", "periods"].into_iter().any(is_filled)
    }
}

/// The numbers of periods to choose from: those on sale, and the one that was chosen.
async fn periods(app: &App, chosen: Option<i16>) -> anyhow::Result<Vec<i16>> {
    let products = app.catalogue.load_on_sale(&mut *app.pool.acquire().await?).await?;
    let plans = products.iter().flat_map(|product| &product.terms.plans);
    let sold = plans.flat_map(|plan| plan.periods.iter()).filter_map(|periods| i16::try_from(*periods).ok());
    let mut all: Vec<i16> = sold.chain(chosen).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The search that an address asks for; `None` where a field of it is wrong, with the error beside it.
fn read(asked: &Asked, today: BusinessDay) -> (Form, Option<SaleFilter>) {
    // Nothing that is asked for has control characters, and PostgreSQL's texts cannot hold all of them.
    let cut = |text: &str| -> String {
        text.trim().chars().filter(|letter| !letter.is_control()).take(NUMBER_CHARS_MAX).collect()
    };
    let or = |text: &str, day: BusinessDay| if text.trim().is_empty() { day.to_string() } else { cut(text) };
    let mut form = Form::filled([
        ("number", cut(&asked.number)),
        ("amount", cut(&asked.amount)),
        ("from", or(&asked.from, today.minus_days(DAYS_SHOWN))),
        ("to", or(&asked.to, today)),
        ("state", cut(&asked.state)),
        ("periods", cut(&asked.periods)),
    ]);
    let from = form.read("from", typed_day);
    let to = form.read("to", typed_day);
    let amount = read_if_there(&mut form, "amount", typed_amount);
    let state = read_if_there(&mut form, "state", str::parse::<SaleState>);
    let periods = read_if_there(&mut form, "periods", |text| {
        text.parse::<i16>().ok().filter(|periods| (1..=PERIODS_MAX).contains(periods)).ok_or("choice_unknown")
    });
    let number = form.value("number").to_owned();
    let which = match (from, to) {
        _ if !number.is_empty() => Some(Which::Number(number)),
        (Some(from), Some(to)) => Which::days(from, to).map_err(|code| form.refuse_field("from", code)).ok(),
        _ => None,
    };
    let filter = which.filter(|_| !form.is_refused()).map(|which| SaleFilter { which, amount, state, periods });
    (form, filter)
}

fn read_if_there<T>(form: &mut Form, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
    if form.value(name).is_empty() { None } else { form.read(name, parse) }
}

/// The fields that are filled in, as the query of an address.
fn query(form: &Form) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for name in ["number", "amount", "from", "to", "state", "periods"] {
        if !form.value(name).is_empty() {
            pairs.append_pair(name, form.value(name));
        }
    }
    pairs.finish()
}

/// `GET /m/purchases/table`: the search as a CSV file, sent as it is read.
pub async fn table(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let search = Search::read(&app, &asked).await?;
    let Some(filter) = search.filter.clone() else { return search.refused(&app, page, signed_in).await };
    signed_in.may_fetch(&app).await?;
    let name = match &filter.which {
        Which::Days { from, to } => format!("purchases-{from}-{to}.csv"),
        Which::Number(_) => "purchases.csv".to_owned(),
    };
    let mut sheet = Sheet::begin();
    let columns = columns(signed_in.rights);
    sheet.row(columns.iter().copied().map(|key| Cell::Text(page.say(key).to_string())))?;
    let rows = sale_actions::stream(app, signed_in.merchant_id, filter);
    let bytes = rows.and_then(move |sales| {
        let written = write(&mut sheet, &page, columns.len(), &sales);
        async move { written }
    });
    Ok((sheet::headers(&name), Body::from_stream(bytes)).into_response())
}

/// The table's columns. The merchant's net amount comes last, and is shown only to those who may see settlements.
const COLUMNS: [&str; 12] = [
    "sale-column-number",
    "sale-column-order",
    "sale-column-day",
    "sale-column-time",
    "sale-column-what",
    "sale-column-state",
    "sale-column-periods",
    "sale-column-amount",
    "sale-column-refunded",
    "sale-column-fee",
    "sale-column-subsidy",
    "sale-column-net",
];
/// The columns that everybody sees: up to the amount refunded.
const COLUMNS_FOR_ALL: usize = 9;

fn columns(rights: Role) -> &'static [&'static str] {
    if rights.may_see_settlements() { &COLUMNS } else { &COLUMNS[..COLUMNS_FOR_ALL] }
}

fn write(sheet: &mut Sheet, page: &Page, columns: usize, sales: &[Sale]) -> anyhow::Result<Vec<u8>> {
    for sale in sales {
        let [discount_fee, subsidy] = sale.charges();
        let cells = [
            Cell::Text(sale.purchase_id.to_string()),
            Cell::Text(sale.order_reference.clone().unwrap_or_default()),
            Cell::Day(sale.business_day),
            Cell::Time(sale.created_at),
            Cell::Text(sale.description.clone().unwrap_or_default()),
            Cell::Text(page.say_of("sale-state", sale.state().name()).to_string()),
            Cell::Number(sale.periods.into()),
            Cell::Yuan(sale.amount),
            Cell::Yuan(sale.refunded),
            Cell::Yuan(discount_fee),
            Cell::Yuan(subsidy),
            Cell::Yuan(sale.net()),
        ];
        sheet.row(cells.into_iter().take(columns))?;
    }
    sheet.take()
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/sale.html")]
pub struct SalePage {
    page: Page,
    signed_in: MerchantSignedIn,
    story: SaleStory,
}

/// `GET /m/purchases/{purchase}`
pub async fn show(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(purchase): Path<String>,
) -> Result<SalePage, Problem> {
    let story = find(&app, &signed_in, &purchase).await?;
    Ok(SalePage { page, signed_in, story })
}

/// A sale of the merchant whose page this is; not found where it is another's.
pub(super) async fn find(app: &App, signed_in: &MerchantSignedIn, purchase: &str) -> Result<SaleStory, Problem> {
    let purchase_id: PurchaseId = purchase.parse().map_err(|_| Problem::not_found())?;
    let story = sale_actions::story(app, signed_in.merchant_id, purchase_id).await?;
    story.ok_or_else(Problem::not_found)
}

impl SalePage {
    fn can_void(&self) -> bool {
        self.signed_in.rights.may_refund() && self.story.sale.way_back(self.story.today) == WayBack::Void
    }

    fn can_refund(&self) -> bool {
        let way_back = self.story.sale.way_back(self.story.today);
        self.signed_in.rights.may_refund() && matches!(way_back, WayBack::Refund { .. })
    }

    /// Whether its day has ended and the settlement is not made yet.
    fn is_being_settled(&self) -> bool {
        self.story.settlement.is_none() && self.story.sale.business_day < self.story.today
    }

    /// What it has brought after all refunds.
    fn net_after_refunds(&self) -> Fen {
        self.story.sale.net() + self.story.refunds.iter().map(super::sale::SaleRefund::net).sum()
    }
}
