//! How a funder stands today: its reserve, what it may still lend, and what its borrowers owe it.

use std::fmt;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::warned_below;
use crate::app::App;
use crate::base::{BusinessDay, Fen};
use crate::funder::forecast::{DAYS, Forecast};
use crate::funder::store::Funder;
use crate::funder::{self, Reserve};
use crate::overdue::bucket::InBucket;
use crate::{business_day, credit, overdue};

struct Standing {
    funder: Funder,
    today: BusinessDay,
    reserve: Reserve,
    forecast: Forecast,
    /// The day by whose end an advance must be repaid; `None` if there is no advance, or the working days are not known.
    advance_due_on: Option<BusinessDay>,
    /// Unpaid principal, billed or not.
    outstanding: Fen,
    unpaid: Vec<InBucket>,
}

pub async fn show(app: &App, code: &str, is_json: bool) -> anyhow::Result<()> {
    let standing = Standing::load(app, code).await?;
    if is_json {
        println!("{}", standing.to_json());
    } else {
        print!("{standing}");
    }
    Ok(())
}

impl Standing {
    async fn load(app: &App, code: &str) -> anyhow::Result<Standing> {
        let mut connection = app.pool.acquire().await?;
        let found = funder::find_funder_by_code(&mut connection, code).await?;
        let funder = found.with_context(|| format!("there is no funder {code}; `fenqi funder list` shows them"))?;
        let today = business_day::store::today(&mut connection).await?;
        let reserve = funder::store::find_reserve(&mut connection, funder.funder_id).await?;
        let reserve = reserve.context("a funder has a reserve")?;
        let unpaid = overdue::store::list_unpaid(&mut connection, Some(funder.funder_id)).await?;
        Ok(Standing {
            today,
            forecast: funder::actions::forecast_reserve(&mut connection, app, funder.funder_id, today).await?,
            advance_due_on: reserve.advance_since.and_then(|since| app.calendar.next_working_day(since).ok()),
            outstanding: credit::store::sum_used(&mut connection, funder.funder_id).await?,
            unpaid: overdue::by_bucket(&unpaid, today),
            funder,
            reserve,
        })
    }

    fn to_json(&self) -> Value {
        let Standing { funder, today, reserve, forecast, advance_due_on, outstanding, unpaid } = self;
        let band = |band: &InBucket| json!({ "days_past_due": band.bucket.name(), "bills": band.bills, "principal_fen": band.principal });
        json!({
            "code": funder.code,
            "funder_id": funder.funder_id,
            "name": funder.name,
            "business_day": today,
            "available_fen": reserve.available,
            "held_fen": reserve.held,
            "deposited_fen": reserve.deposited,
            "withdrawn_fen": reserve.withdrawn,
            "paid_out_fen": reserve.paid_out,
            "returned_fen": reserve.returned,
            "usable_fen": reserve.usable(),
            "advance_limit_fen": reserve.advance_limit,
            "advance_since": reserve.advance_since,
            "advance_due_on": advance_due_on,
            "is_advance_overdue": reserve.advance_overdue,
            "low_water_fen": reserve.low_water,
            "lower_marks_fen": reserve.lower_marks,
            "net_use_a_day_fen": forecast.net_use_a_day,
            "runs_dry_on": forecast.runs_dry_on,
            "outstanding_fen": outstanding,
            "unpaid": unpaid.iter().map(band).collect::<Vec<Value>>(),
        })
    }

    fn advance(&self) -> String {
        let limit = self.reserve.advance_limit;
        let Some(since) = self.reserve.advance_since else {
            return format!("an advance of up to {limit} yuan, none of which is drawn on");
        };
        let drawn = -self.reserve.available;
        let due = match self.advance_due_on {
            Some(day) => format!(", to be repaid by the end of {day}"),
            None => String::new(),
        };
        let overdue = if self.reserve.advance_overdue { ": overdue, nothing is lent until it is repaid" } else { "" };
        format!("{drawn} of an advance of up to {limit} yuan are drawn on since {since}{due}{overdue}")
    }

    fn outlook(&self) -> String {
        let a_day = self.forecast.net_use_a_day;
        match self.forecast.runs_dry_on {
            Some(day) => format!(
                "an average day (of the last {DAYS}, or since its first use) takes {a_day} yuan: it runs dry on {day}"
            ),
            None => format!("not drawn down in the last {DAYS} days"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reserve { available, held, deposited, withdrawn, paid_out, returned, .. } = &self.reserve;
        writeln!(f, "{}  {}  {}  on {}", self.funder.code, self.funder.funder_id, self.funder.name, self.today)?;
        writeln!(
            f,
            "    {available} yuan available = {deposited} deposited - {withdrawn} withdrawn - {held} held - {paid_out} paid out \
             + {returned} returned"
        )?;
        writeln!(f, "    {}", self.advance())?;
        writeln!(f, "    warned below {} yuan; {}", warned_below(&self.reserve), self.outlook())?;
        writeln!(
            f,
            "    {} yuan of principal outstanding, of which billed and unpaid by days past due:",
            self.outstanding
        )?;
        if self.unpaid.is_empty() {
            writeln!(f, "        none")?;
        }
        for InBucket { bucket, bills, principal } in &self.unpaid {
            writeln!(f, "        {:<8} {principal:>18} yuan, bills: {bills}", bucket.name())?;
        }
        Ok(())
    }
}
