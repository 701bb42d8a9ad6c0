//! Weeks with partners that keep silent, lie, pay another amount and pay twice, and with people who settle this as the
//! runbook says. What the counterfeit banks took and paid in truth is compared with our books in the end: they must say the
//! same of every order and payout.
//!
//! `TROUBLED_SEED=1000 cargo test troubled` uses other seeds than CI does. A life that does not end well tells
//! the history of each order and payout that is wrong.

mod duty;
mod history;

use std::collections::BTreeMap;
use std::sync::Arc;

use fenqi::base::Fen;
use fenqi::base::id::{LineId, PayoutId, RepaymentId, WithholdingId};
use fenqi::partner::withholding::{Answer, ChannelFailure, ChannelName, Heard};
use fenqi::purchase::{Authoriser, Decision, Receipt};
use fenqi::repayment::jobs::{query_unknowns, retry_withholdings, submit_withholdings};
use fenqi::sandbox::payout::Attempt;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{self, Fault, Matcher, Scripted, World};
use fenqi::settlement::payout::{Answer as PayoutWord, Word};
use fenqi::settlement::payout_actions::PayoutAnswer;
use fenqi::{day_file, reconcile, repayment, settlement};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use uuid::Uuid;

use crate::funder_core::assert_cores_know_their_books;
use crate::properties::assert_used_is_what_was_lent;
use crate::town::{self, LineWish, SHOP_ACCOUNT, Town, unless_failed};
use crate::{acts, house};

/// Days on which anything may go wrong, and days after them on which people settle what is left.
const TROUBLED_DAYS: u32 = 26;
const QUIET_DAYS: u32 = 12;
/// Statement and due day of each line.
const DAYS_OF_LINES: [(i16, i16); 4] = [(3, 9), (5, 11), (8, 14), (12, 18)];
const PLANS: [(&str, u16); 4] =
    [("harbour-standard", 2), ("harbour-standard", 6), ("harbour-free", 3), ("harbour-shared-fee", 3)];
const CHANNELS: [&str; 2] = ["withholding_a", "withholding_b"];

/// The town, its partners, and what happens at random.
struct Life {
    town: Town,
    world: Arc<World>,
    lines: Vec<LineId>,
    chance: StdRng,
    sold: Vec<Receipt>,
    transferred: Vec<RepaymentId>,
    acts: u32,
    days: u32,
    is_quiet: bool,
    /// How often people closed breaks, by what they did, and settled payouts.
    settled: BTreeMap<&'static str, u32>,
    /// For whoever reads why it did not end well.
    noted: Vec<history::Noted>,
}

/// A payout as our books have it.
#[derive(sqlx::FromRow)]
struct BookedPayout {
    payout_id: PayoutId,
    kind: String,
    line_id: Option<LineId>,
    amount_fen: i64,
    status: String,
}

fn agreement(line_id: LineId) -> String {
    format!("AG-{}", line_id.uuid())
}

impl Life {
    async fn begin(pool: PgPool, seed: u64) -> Life {
        let (app, world) = house::open_in_world(pool, "2026-03-01").await;
        let town = town::found(app, 5_000_000).await;
        let wish = LineWish { limit_fen: 500_000, statement_day: 3, due_day: 9, expires_on: "2029-03-01" };
        let lines = town.open_lines(DAYS_OF_LINES.len(), wish).await;
        for (line_id, (statement_day, due_day)) in lines.iter().zip(DAYS_OF_LINES) {
            let days = "update credit_line set statement_day = $2, due_day = $3 where line_id = $1";
            let days = sqlx::query(days).bind(line_id).bind(statement_day).bind(due_day);
            days.execute(&town.app.pool).await.unwrap();
        }
        Life {
            town,
            world,
            lines,
            chance: StdRng::seed_from_u64(seed),
            sold: Vec::new(),
            transferred: Vec::new(),
            acts: 0,
            days: 0,
            is_quiet: false,
            settled: BTreeMap::new(),
            noted: Vec::new(),
        }
    }

    fn line(&mut self) -> LineId {
        self.lines[self.chance.random_range(0..self.lines.len())]
    }

    fn sale(&mut self) -> Option<Receipt> {
        (!self.sold.is_empty()).then(|| self.sold[self.chance.random_range(0..self.sold.len())])
    }

    fn count(&mut self, what: &'static str) {
        *self.settled.entry(what).or_default() += 1;
    }

    /// Customers do some random things, which are refused as often as not.
    async fn act(&mut self) {
        if self.is_quiet {
            return;
        }
        for _ in 0..self.chance.random_range(0..3) {
            self.acts += 1;
            match self.chance.random_range(0..12) {
                0..=2 => self.buy().await,
                3 => self.void().await,
                4 => self.refund().await,
                5 => self.transfer().await,
                6 => self.take_back().await,
                7 => self.pay_off().await,
                _ => self.press_the_button().await,
            }
        }
    }

    async fn buy(&mut self) {
        let (line_id, plan) = (self.line(), PLANS[self.chance.random_range(0..PLANS.len())]);
        let fen = self.chance.random_range(10_000..150_000);
        let wish = self.town.wish(line_id, &format!("k{}", self.acts), fen, plan);
        self.sold.extend(acts::buy(&Authoriser::start(self.town.app.clone()), wish).await);
    }

    async fn void(&mut self) {
        let Some(sale) = self.sold.last() else { return };
        acts::void(&self.town, sale).await;
    }

    async fn refund(&mut self) {
        let Some(sale) = self.sale() else { return };
        let part = Fen::new(self.chance.random_range(1..=sale.amount.get()));
        let amount = if self.chance.random_bool(0.4) { sale.amount } else { part };
        acts::refund(&self.town, &sale, (amount, format!("r{}", self.acts))).await;
    }

    async fn transfer(&mut self) {
        let (line_id, amount) = (self.line(), Fen::new(self.chance.random_range(1..60_000)));
        self.transferred.extend(acts::transfer(&self.town, line_id, (amount, format!("B{}", self.acts))).await);
    }

    async fn take_back(&mut self) {
        if self.transferred.is_empty() {
            return;
        }
        let repayment_id = self.transferred[self.chance.random_range(0..self.transferred.len())];
        acts::take_back(&self.town, repayment_id, "recorded wrongly".into()).await;
    }

    async fn pay_off(&mut self) {
        let Some(Receipt { decision: Decision::Authorised { loan_id }, .. }) = self.sale() else { return };
        let line_id = sqlx::query_scalar("select line_id from loan where loan_id = $1").bind(loan_id);
        let line_id: LineId = line_id.fetch_one(&self.town.app.pool).await.unwrap();
        acts::pay_off(&self.town, (line_id, loan_id), format!("p{}", self.acts)).await;
    }

    async fn press_the_button(&mut self) {
        let (line_id, amount) = (self.line(), Fen::new(self.chance.random_range(1..30_000)));
        acts::press_the_button(&self.town, line_id, (amount, format!("b{}", self.acts))).await;
    }

    /// Scripts a fault for the next order of a card, and for the next payout.
    fn make_trouble(&mut self) {
        let (line_id, fen) = (self.line(), self.chance.random_range(1..60_000));
        let answer = Scripted::answer;
        let scripted = match self.chance.random_range(0..15) {
            0 | 1 => answer("success").with(Fault::TimeoutAfter),
            2 => answer("success").with(Fault::TimeoutBefore),
            3 => answer("success").with(Fault::LateAnswer),
            4 => Scripted { after_days: Some(2), ..answer("processing") },
            5 => answer("unmapped"),
            6 => answer("not_exist"),
            7 => answer("fails_but_collects"),
            8 => answer("denied_in_file"),
            9 => answer("not_in_file"),
            10 => answer("another_in_file").amount(fen),
            11 => answer("named_twice"),
            12 => answer("charged_twice"),
            13 => answer("partial").amount(fen),
            _ => answer("channel_down"),
        };
        let channel = CHANNELS[usize::from(self.chance.random_bool(0.25))];
        self.world.script(channel, Some(Matcher::new("card", agreement(line_id))), vec![scripted]);
        lock(&self.world.withholding).set_balance(&agreement(line_id), Fen::new(fen * 3));
        let scripted = match self.chance.random_range(0..9) {
            0 | 1 => answer("paid").with(Fault::TimeoutAfter),
            2 => answer("paid").with(Fault::TimeoutBefore),
            3 => answer("slow"),
            4 => answer("account_closed"),
            5 | 6 => answer("denied"),
            _ => answer("failed_but_paid"),
        };
        self.world.script("payout", None, vec![scripted]);
    }

    /// A withholding channel calls back about an order of the last days, with a random answer.
    async fn spread_a_rumour(&mut self) {
        let since = self.town.today().await.minus_days(3);
        let sent = "select w.withholding_id, w.channel, w.amount_fen from withholding w
                    join credit_line l on l.line_id = w.line_id
                    where w.submitted_at is not null and w.business_day >= $1
                    order by w.business_day, w.created_at, l.statement_day, w.attempt_no";
        let sent = sqlx::query_as(sent).bind(since.date()).fetch_all(&self.town.app.pool).await;
        let sent: Vec<(Uuid, String, i64)> = sent.unwrap();
        if sent.is_empty() {
            return;
        }
        let (withholding_id, channel, fen) = sent[self.chance.random_range(0..sent.len())].clone();
        let failed = |failure| Answer::Failed { failure, code: "RUMOUR".into() };
        let reference = format!("R{}", self.acts);
        let answer = match self.chance.random_range(0..5) {
            0 => Answer::Succeeded { collected: Fen::new(fen), reference },
            1 | 2 => Answer::Succeeded { collected: Fen::new(self.chance.random_range(1..=fen * 2)), reference },
            3 => failed(ChannelFailure::ChannelDown),
            _ => failed(ChannelFailure::InsufficientFunds),
        };
        self.note(withholding_id, format!("rumour: {answer:?}"));
        let heard = Heard {
            merchant_id: sandbox::PLATFORM.to_owned(),
            withholding_id: WithholdingId::from_uuid(withholding_id),
            amount: Fen::new(fen),
            answer,
        };
        let channel = ChannelName::from_name(&channel).unwrap();
        let _ = unless_failed(repayment::hear(&self.town.app, channel, heard).await);
    }

    /// The payout channel calls back: with true answers, and on a troubled day once with a false one. On quiet days it leaves
    /// nothing untold.
    async fn call_back_about_payouts(&mut self) {
        let attempts = lock(&self.world.payout).attempts();
        let tells_all = self.is_quiet && self.days.is_multiple_of(4);
        for attempt in &attempts {
            if tells_all || self.chance.random_bool(0.05) {
                self.call_back(attempt, attempt.amount_fen, true_word(attempt)).await;
            }
        }
        if self.is_quiet || attempts.is_empty() || self.chance.random_bool(0.5) {
            return;
        }
        let attempt = &attempts[self.chance.random_range(0..attempts.len())];
        let bank_reference = format!("BANK-R{}", self.acts);
        let (fen, word) = match self.chance.random_range(0..3) {
            0 => (attempt.amount_fen, Word::Succeeded { bank_reference }),
            1 => (attempt.amount_fen + 1, Word::Succeeded { bank_reference }),
            _ => (attempt.amount_fen, Word::Failed { failure: "returned".into() }),
        };
        self.call_back(attempt, fen, word).await;
    }

    async fn call_back(&mut self, attempt: &Attempt, fen: i64, word: Word) {
        let (payout_id, attempt_no) = attempt.order_key.rsplit_once('-').unwrap();
        let payout_id: PayoutId = payout_id.parse().unwrap();
        let answer = PayoutWord { attempt_no: attempt_no.parse().unwrap(), amount: Some(Fen::new(fen)), word };
        self.note(payout_id.uuid(), format!("called back: {answer:?}"));
        let called_back = PayoutAnswer { payout_id, answer };
        let _ = unless_failed(settlement::take_callback(&self.town.app, called_back).await);
    }

    async fn live_a_day(&mut self) {
        let (app, day) = (self.town.app.clone(), self.town.today().await);
        self.days += 1;
        if !self.is_quiet {
            self.make_trouble();
        }
        self.town.set_time(day, "08:30:00");
        day_file::jobs::make_files(&app).await.unwrap();
        settlement::submit_payouts(&app).await.unwrap();
        self.town.set_time(day, "08:45:00");
        settlement::query_payouts(&app).await.unwrap();
        reconcile::fetch_channel_files(&app).await.unwrap();
        self.look_after_all(0.7).await;
        for (time, later) in [("09:00:00", "09:45:00"), ("15:00:00", "15:45:00"), ("20:30:00", "21:15:00")] {
            self.town.set_time(day, time);
            self.act().await;
            retry_withholdings(&app).await.unwrap();
            submit_withholdings(&app).await.unwrap();
            self.act().await;
            if !self.is_quiet && self.chance.random_bool(0.4) {
                self.spread_a_rumour().await;
            }
            self.town.set_time(day, later);
            query_unknowns(&app).await.unwrap();
            settlement::query_payouts(&app).await.unwrap();
        }
        self.call_back_about_payouts().await;
        self.look_after_all(0.5).await;
        // What was retried is sent and asked about.
        self.town.set_time(day, "21:30:00");
        settlement::submit_payouts(&app).await.unwrap();
        self.town.set_time(day, "21:50:00");
        settlement::query_payouts(&app).await.unwrap();
        self.town.close_today().await;
        let when = format!("after {day}");
        assert_used_is_what_was_lent(&self.town, &when).await;
        self.assert_whole(&when).await;
    }

    async fn assert_whole(&self, when: &str) {
        let findings = fenqi::verify::verify(&self.town.app.pool).await.unwrap();
        let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
        let histories = self.histories_in(&subjects.join(" ")).await;
        assert!(findings.is_empty(), "{when}: {findings:#?}{histories}");
    }

    /// Whether people leave no payout for another day: `verify` counts the days for which one waits for them.
    fn is_diligent(&self) -> bool {
        self.is_quiet || self.days.is_multiple_of(2)
    }

    /// On a quiet day people look after everything, otherwise with this probability.
    async fn look_after_all(&mut self, often: f64) {
        if self.is_quiet || self.chance.random_bool(often) {
            self.work_off_breaks().await;
        }
        if self.is_diligent() || self.chance.random_bool(often) {
            self.work_off_payouts().await;
        }
    }

    /// Nothing goes wrong any more, and every card holds enough.
    fn calm_down(&mut self) {
        self.is_quiet = true;
        for line_id in &self.lines {
            let card = agreement(*line_id);
            for channel in CHANNELS {
                while self.world.scripted(channel, &[("card", card.as_str())]).is_some() {}
            }
            lock(&self.world.withholding).set_balance(&card, Fen::new(100_000_000));
        }
        while self.world.scripted("payout", &[]).is_some() {}
    }

    /// Asserts that no break is open and no order or payout is pending.
    async fn assert_at_rest(&self) {
        let waiting: Vec<String> = sqlx::query_scalar(
            "select concat_ws(' ', 'break', withholding_id, kind, our_fen, their_fen, opened_on) from reconciliation_break
             where status = 'open'
             union all
             select concat_ws(' ', 'order', withholding_id, purpose, channel, amount_fen, status, business_day) from withholding
             where status in ('submitted', 'unknown') or (status = 'created' and business_day < $1)
             union all
             select concat_ws(' ', 'payout', payout_id, kind, amount_fen, status, attempt_no, contradiction, pay_on) from payout
             where status in ('submitted', 'unknown', 'failed') or contradicted_attempt is not null
                or (status = 'created' and pay_on < $1)",
        )
        .bind(self.town.today().await.date())
        .fetch_all(&self.town.app.pool)
        .await
        .unwrap();
        let histories = self.histories_in(&waiting.join(" ")).await;
        assert!(waiting.is_empty(), "still waiting: {waiting:#?}; settled {:?}{histories}", self.settled);
    }

    /// Asserts that every fen taken from a card is booked as collected, order by order, and no other.
    async fn assert_cards_were_charged_what_is_booked(&self) {
        let booked: Vec<(Uuid, i64)> = sqlx::query_as(
            "select w.withholding_id, coalesce(b.booked_fen, 0)::bigint
             from withholding w
             left join withholding_booked b on b.line_id = w.line_id and b.withholding_id = w.withholding_id::text
             order by w.created_at, w.withholding_id",
        )
        .fetch_all(&self.town.app.pool)
        .await
        .unwrap();
        let mut wrong = Vec::new();
        for (withholding_id, booked_fen) in &booked {
            let charged = lock(&self.world.withholding).charged(&withholding_id.simple().to_string());
            if charged.get() != *booked_fen {
                wrong.push(format!("{withholding_id} was charged {} fen, booked are {booked_fen}", charged.get()));
            }
        }
        let histories = self.histories_in(&wrong.join(" ")).await;
        assert!(wrong.is_empty(), "{wrong:#?}{histories}");
        let all: i64 = booked.iter().map(|(_, booked_fen)| booked_fen).sum();
        let charged_in_all = lock(&self.world.withholding).charged_in_all();
        assert_eq!(charged_in_all.get(), all, "charged for orders that are not ours");
    }

    /// Asserts that every fen that the payout channel paid is booked as paid, payout by payout and payee by payee, and no
    /// other.
    async fn assert_payees_got_what_is_booked(&self) {
        let payouts = "select payout_id, kind, line_id, amount_fen, status from payout";
        let payouts = sqlx::query_as(payouts).fetch_all(&self.town.app.pool).await;
        let payouts: Vec<BookedPayout> = payouts.unwrap();
        let attempts = lock(&self.world.payout).attempts();
        let mut booked: BTreeMap<String, i64> = BTreeMap::new();
        let mut wrong = Vec::new();
        for payout in payouts {
            let BookedPayout { payout_id, kind, line_id, amount_fen, status } = payout;
            let due = if status == "succeeded" { amount_fen } else { 0 };
            let key = format!("{payout_id}-");
            let of_it = attempts.iter().filter(|attempt| attempt.order_key.starts_with(&key));
            let paid = of_it.filter(|attempt| attempt.bank_reference.is_some());
            let paid: i64 = paid.map(|attempt| attempt.amount_fen).sum();
            if paid != due {
                wrong.push(format!("{payout_id} of {amount_fen} fen, a {kind}, is {status}; {paid} fen were paid"));
            }
            let place = line_id.and_then(|line_id| self.lines.iter().position(|known| *known == line_id));
            let account = match place {
                Some(place) => format!("62220212345678{place:05}"),
                None if kind == "settlement" => SHOP_ACCOUNT.to_owned(),
                None => "harbour-bank".to_owned(),
            };
            *booked.entry(account).or_default() += due;
        }
        let histories = self.histories_in(&wrong.join(" ")).await;
        assert!(wrong.is_empty(), "{wrong:#?}{histories}");
        for (account, fen) in booked {
            assert_eq!(lock(&self.world.payout).paid_to(&account), fen, "paid to {account}");
        }
    }

    /// Asserts that of what a borrower paid, everything beyond charges and what was bought and kept is owed back or was
    /// returned.
    async fn assert_nobody_paid_too_much(&self) {
        let wrong: Vec<(LineId, i64, i64)> = sqlx::query_as(
            "select l.line_id, paid.fen, kept.fen
             from credit_line l
             cross join lateral (
                 select (coalesce((select sum(r.amount_fen) from repayment r where r.line_id = l.line_id), 0)
                       - coalesce((select sum(part) from repayment r
                                   cross join lateral unnest(r.interest_fen || r.fee_fen || r.penalty_fen) as part
                                   where r.line_id = l.line_id), 0)
                       - coalesce((select sum(p.amount_fen) from payout p
                                   where p.kind = 'borrower' and p.line_id = l.line_id and p.status <> 'cancelled'), 0)
                        )::bigint as fen) as paid
             cross join lateral (
                 select (coalesce((select sum(amount_fen) from purchase p
                                   where p.line_id = l.line_id and p.status = 'authorised'), 0)
                       - coalesce((select sum(amount_fen) from refund r where r.line_id = l.line_id), 0)
                        )::bigint as fen) as kept
             where paid.fen > kept.fen",
        )
        .fetch_all(&self.town.app.pool)
        .await
        .unwrap();
        let lines: Vec<String> = wrong.iter().map(|(line_id, _, _)| line_id.to_string()).collect();
        let histories = self.histories_in(&lines.join(" ")).await;
        assert!(wrong.is_empty(), "paid more than was bought and kept: {wrong:?}{histories}");
    }
}

fn true_word(attempt: &Attempt) -> Word {
    match attempt.bank_reference.clone() {
        Some(bank_reference) => Word::Succeeded { bank_reference },
        None => Word::Failed { failure: "returned".into() },
    }
}

/// Lives through a random life of a seed until all of it is settled.
async fn live_through(pool: PgPool, seed: u64) {
    let other: u64 = std::env::var("TROUBLED_SEED").map_or(0, |seed| seed.parse().unwrap());
    let mut life = Life::begin(pool, seed + other).await;
    for _ in 0..TROUBLED_DAYS {
        life.live_a_day().await;
    }
    life.calm_down();
    for _ in 0..QUIET_DAYS {
        life.live_a_day().await;
    }
    life.assert_at_rest().await;
    life.assert_cards_were_charged_what_is_booked().await;
    life.assert_payees_got_what_is_booked().await;
    life.assert_nobody_paid_too_much().await;
    assert_cores_know_their_books(&life.town.app.pool).await;
    let of_breaks: u32 =
        life.settled.iter().filter(|(what, _)| !["payouts", "retried"].contains(what)).map(|(_, times)| times).sum();
    let is_troubled = of_breaks > 3 && life.settled.contains_key("payouts");
    assert!(is_troubled, "hardly anything went wrong: {:?}", life.settled);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_troubled_life_ends_with_books_that_say_what_the_banks_did(pool: PgPool) {
    live_through(pool, 1).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_troubled_life_ends_with_books_that_say_what_the_banks_did(pool: PgPool) {
    live_through(pool, 2).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_third_troubled_life_ends_with_books_that_say_what_the_banks_did(pool: PgPool) {
    live_through(pool, 3).await;
}
