//! Test helper: the history of an order or a payout, printed when a life did not end well.

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::{DateTime, FixedOffset, Utc};
use fenqi::sandbox::world::lock;
use uuid::Uuid;

use super::Life;

/// What somebody outside the books said or did.
pub(super) struct Noted {
    at: DateTime<Utc>,
    about: Uuid,
    what: String,
}

/// Of an id in the words of a finding: the orders and payouts that it may be about.
const CONCERNED: &str = "
    with of_line as (
        select line_id from credit_line where line_id = $1
        union select line_id from loan where loan_id = $1
        union select line_id from purchase where purchase_id = $1
        union select line_id from repayment where repayment_id = $1)
    select withholding_id from withholding where withholding_id = $1 or line_id in (select line_id from of_line)
    union
    select payout_id from payout where $1 in (payout_id, source_id) or line_id in (select line_id from of_line)";

/// All that the house has written down about an order or a payout, as it happened. What has a day and no time comes first on it.
const WRITTEN: &str = "
    select w.created_at, concat_ws(' ', 'order', w.purpose, w.channel, w.amount_fen, 'for', w.business_day, 'attempt', w.attempt_no,
                                   'line', w.line_id, 'is now', w.status, w.failure, w.collected_fen, 'since', w.final_at)
    from withholding w where w.withholding_id = $1
    union all
    select p.created_at, concat_ws(' ', 'payout', p.kind, p.amount_fen, 'attempt', p.attempt_no, 'line', p.line_id, 'is now', p.status,
                                   p.failure, p.bank_reference, p.contradiction, 'of attempt', p.contradicted_attempt)
    from payout p where p.payout_id = $1
    union all
    select e.occurred_at, concat_ws(' ', 'attempt', e.attempt_no, e.status, e.detail) from payout_event e where e.payout_id = $1
    union all
    select c.called_at, concat_ws(' ', 'call', c.direction, c.partner, c.operation, c.outcome, left(c.response_masked, 400))
    from partner_call c where replace($1::uuid::text, '-', '') = any(c.objects)
    union all
    select coalesce(c.compared_at, f.business_day::timestamp at time zone 'Asia/Shanghai'),
           concat_ws(' ', 'file of', f.business_day, case when f.succeeded then 'paid' else coalesce(f.failure, 'unclear') end, f.code,
                     f.amount_fen, case when c.compared_at is null then 'not compared' end)
    from channel_file_line f
    join channel_file c on c.channel = f.channel and c.business_day = f.business_day
    where f.withholding_id = $1
    union all
    select b.opened_on::timestamp at time zone 'Asia/Shanghai',
           concat_ws(' ', 'break', b.kind, 'of', b.business_day, b.our_fen, b.their_fen, b.proposed, 'proposed by', b.proposed_by, 'is now',
                     b.status, 'by', b.confirmed_by, b.closed_on, 'by hand', b.settled_fen, b.note)
    from reconciliation_break b where b.withholding_id = $1
    union all
    select a.done_at, concat_ws(' ', a.done_by, a.action, a.detail)
    from audit_entry a
    where right(a.object_id, 32) in (select replace($1::uuid::text, '-', '')
                                     union select replace(b.break_id::text, '-', '') from reconciliation_break b
                                           where b.withholding_id = $1)
    union all
    select r.received_at, concat_ws(' ', 'booked', r.source, r.amount_fen, 'left over', r.excess_fen)
    from repayment r
    where r.source_reference = $1::uuid::text
       or r.source_reference in (select o.repayment_id::text from repayment o where o.source_reference = $1::uuid::text)
    union all
    select p.posted_at, concat_ws(' ', 'posted', p.event, 'debit', p.debit::text, 'credit', p.credit::text, p.amount_fen::text)
    from posting p where p.source_id = $1 or p.source_id in (select o.source_id from payout o where o.payout_id = $1)";

impl Life {
    /// Keeps what the house does not write down itself: a callback that came by no wire, and what somebody on duty made of a break.
    pub(super) fn note(&mut self, about: Uuid, what: String) {
        let at = self.town.app.clock.now();
        self.noted.push(Noted { at, about, what });
    }

    /// The histories of all orders and payouts that a text names, or whose lines, loans, purchases or repayments it names.
    pub(super) async fn histories_in(&self, text: &str) -> String {
        let mut concerned = BTreeSet::new();
        for word in text.split(|letter: char| letter != '-' && !letter.is_ascii_hexdigit()) {
            let Ok(id) = Uuid::parse_str(word) else { continue };
            let query = sqlx::query_scalar(CONCERNED).bind(id);
            let of_it: Vec<Uuid> = query.fetch_all(&self.town.app.pool).await.unwrap();
            concerned.extend(of_it);
        }
        let mut histories = String::new();
        for id in concerned {
            histories.push_str(&self.history_of(id).await);
        }
        histories
    }

    /// What happened to an order or a payout, a line for each event, and what the counterfeit bank has of it in truth.
    pub(super) async fn history_of(&self, id: Uuid) -> String {
        self.town.app.partners.flush_log().await;
        let query = sqlx::query_as(WRITTEN).bind(id);
        let mut events: Vec<(DateTime<Utc>, String)> = query.fetch_all(&self.town.app.pool).await.unwrap();
        let noted = self.noted.iter().filter(|noted| noted.about == id);
        events.extend(noted.map(|noted| (noted.at, noted.what.clone())));
        events.sort_by_key(|(at, _)| *at);
        let shanghai = FixedOffset::east_opt(8 * 3600).unwrap();
        let mut history = format!("\n{id}:\n");
        for (at, what) in events {
            writeln!(history, "  {} {what}", at.with_timezone(&shanghai).format("%m-%d %H:%M:%S")).unwrap();
        }
        let number = id.simple().to_string();
        let charged = lock(&self.world.withholding).charged(&number);
        writeln!(history, "  in truth a card was charged {} fen for it", charged.get()).unwrap();
        let attempts = lock(&self.world.payout).attempts();
        for attempt in attempts.iter().filter(|attempt| attempt.order_key.contains(&number)) {
            writeln!(history, "  in truth {attempt:?}").unwrap();
        }
        history
    }
}
