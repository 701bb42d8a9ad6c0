//! Test helper: the operators on duty, who settle breaks and payouts as the runbook says.

use std::collections::BTreeSet;

use fenqi::base::Fen;
use fenqi::base::id::{BreakId, PayoutId};
use fenqi::error::Fault;
use fenqi::reconcile::{self, BreakRefusal, Correction};
use fenqi::sandbox::world::lock;
use fenqi::settlement::{self, Ending};
use rand::Rng;
use uuid::Uuid;

use super::Life;
use crate::town::unless_failed;

/// After so many days a break that nothing has explained is settled with the channel by hand.
const PATIENCE_DAYS: i32 = 3;

/// A break as the person on duty looks at it.
#[derive(Clone, Debug, sqlx::FromRow)]
struct OpenBreak {
    break_id: Uuid,
    withholding_id: Uuid,
    kind: String,
    their_fen: i64,
    age: i32,
    is_pending: bool,
    /// What the order asked for.
    order_fen: i64,
    /// What was collected: by our books, by the channel's compared files, and by hand.
    booked_fen: i64,
    paid_fen: i64,
    by_hand_fen: i64,
}

const OPEN_BREAKS: &str = "
    select k.break_id, k.withholding_id, k.kind, k.their_fen, ($1::date - k.opened_on)::int as age,
           coalesce(w.status in ('created', 'submitted', 'unknown'), false) as is_pending,
           coalesce(w.amount_fen, 0) as order_fen,
           coalesce((select b.booked_fen from withholding_booked b
                     where b.line_id = w.line_id and b.withholding_id = w.withholding_id::text), 0)::bigint as booked_fen,
           (select coalesce(sum(f.amount_fen), 0) from channel_file_line f
            join channel_file c on c.channel = f.channel and c.business_day = f.business_day
            where f.channel = k.channel and f.withholding_id = k.withholding_id and f.succeeded
              and c.compared_at is not null)::bigint as paid_fen,
           (select coalesce(sum(s.settled_fen), 0) from reconciliation_break s
            where s.withholding_id = k.withholding_id)::bigint as by_hand_fen
    from reconciliation_break k
    left join withholding w on w.withholding_id = k.withholding_id and w.channel = k.channel
    left join credit_line l on l.line_id = w.line_id
    where k.status = 'open'
    order by k.opened_on, l.statement_day, w.created_at, k.kind";

/// What the person on duty does about a break.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Judgement {
    Wait,
    Dismiss,
    Correct(Correction),
    /// The channel settles by hand, so that it agrees with our books.
    ByHand,
}

impl OpenBreak {
    fn number(&self) -> String {
        self.withholding_id.simple().to_string()
    }

    /// The amount in our books after posting the channel's money.
    fn posted_fen(&self) -> i64 {
        let by_hand = if self.kind == "named_twice" { self.by_hand_fen } else { self.by_hand_fen.min(0) };
        self.their_fen + by_hand
    }

    /// What is right if `charged_fen` was charged to the card.
    fn judge(&self, charged_fen: i64) -> Judgement {
        let is_over_amount = self.kind == "amount_differs";
        if self.is_pending && !is_over_amount {
            return Judgement::Wait;
        }
        if charged_fen == self.booked_fen {
            let is_even = self.booked_fen == self.paid_fen + self.by_hand_fen;
            // The channel took the money after all, and its next file will say so.
            let is_to_come = self.kind == "we_succeeded_they_failed" && self.paid_fen == 0;
            let is_settled = (is_even || is_to_come) && !self.is_pending;
            return if is_settled { Judgement::Dismiss } else { Judgement::Correct(Correction::AskChannel) };
        }
        if charged_fen > self.booked_fen && self.posted_fen() == charged_fen {
            return Judgement::Correct(Correction::Post);
        }
        if charged_fen < self.booked_fen && self.their_fen == charged_fen {
            return Judgement::Correct(Correction::Reverse);
        }
        if self.age < PATIENCE_DAYS { Judgement::Wait } else { Judgement::ByHand }
    }
}

impl Life {
    /// The people on duty work through all open breaks.
    pub(super) async fn work_off_breaks(&mut self) {
        let today = self.town.today().await;
        let mut seen = BTreeSet::new();
        loop {
            let open = sqlx::query_as(OPEN_BREAKS).bind(today.date()).fetch_all(&self.town.app.pool).await;
            let open: Vec<OpenBreak> = open.unwrap();
            let Some(found) = open.into_iter().find(|found| !seen.contains(&found.break_id)) else { return };
            seen.insert(found.break_id);
            self.work_off(&found).await;
        }
    }

    async fn work_off(&mut self, found: &OpenBreak) {
        let number = found.number();
        // The channel pays by hand what stands in no file, or it does not.
        if found.kind == "missing_there" && self.chance.random_bool(0.3) {
            lock(&self.world.withholding).set_charged(&number, Fen::new(found.booked_fen));
        }
        let mut charged_fen = lock(&self.world.withholding).charged(&number).get();
        // At times they believe the channel's word without asking; what the channel has paid beyond that it takes back then. Of a card that
        // was charged twice they ask: a word is about one of the charges.
        let is_word = ["we_failed_they_succeeded", "we_succeeded_they_failed", "amount_differs"];
        let is_word = is_word.contains(&found.kind.as_str())
            && found.their_fen != found.booked_fen
            && found.booked_fen <= found.order_fen;
        if is_word && !found.is_pending && !self.is_quiet && self.chance.random_bool(0.2) {
            charged_fen = found.their_fen;
            if found.paid_fen + found.by_hand_fen > charged_fen {
                lock(&self.world.withholding).set_charged(&number, Fen::new(charged_fen));
            }
        }
        let judgement = match found.judge(charged_fen) {
            Judgement::Correct(Correction::Post) if !found.is_pending && self.chance.random_bool(0.3) => {
                Judgement::Correct(Correction::Refund)
            }
            judgement => judgement,
        };
        self.note(found.withholding_id, format!("{judgement:?}, charged {charged_fen}: {found:?}"));
        match judgement {
            Judgement::Wait => {}
            Judgement::Dismiss => {
                let dismissed =
                    reconcile::dismiss_break(&self.town.app, break_id(found), "Wang", "nothing to correct").await;
                let Some(()) = unless_failed(dismissed) else {
                    panic!("not dismissed: {found:?}{}", self.history_of(found.withholding_id).await);
                };
                self.count("dismissed");
            }
            Judgement::Correct(correction) => {
                // What is refused is settled with the channel.
                if self.correct(found, correction).await {
                    self.count(correction.name());
                } else if correction != Correction::AskChannel && !found.is_pending {
                    self.settle_by_hand(found).await;
                }
            }
            Judgement::ByHand => self.settle_by_hand(found).await,
        }
    }

    async fn settle_by_hand(&mut self, found: &OpenBreak) {
        if self.correct(found, Correction::AskChannel).await {
            lock(&self.world.withholding).set_charged(&found.number(), Fen::new(found.booked_fen));
            self.count("by hand");
        }
    }

    /// Li proposes, Wang confirms. `false` where it was refused.
    async fn correct(&self, found: &OpenBreak, correction: Correction) -> bool {
        let app = &self.town.app;
        let proposed = reconcile::propose_correction(app, break_id(found), correction, "Li").await;
        let proposal_no = unless_failed(proposed).unwrap();
        match reconcile::confirm_break(app, break_id(found), proposal_no, "Wang").await {
            Ok(()) => true,
            Err(Fault::Refused(
                BreakRefusal::DoesNotFit | BreakRefusal::BookedBefore | BreakRefusal::NotReversed(_),
            )) => false,
            Err(other) => {
                let history = self.history_of(found.withholding_id).await;
                panic!("{correction:?} of {found:?}: {other:?}{history}");
            }
        }
    }

    /// The people on duty settle payouts about which the channel contradicts itself, and retry those that have failed.
    pub(super) async fn work_off_payouts(&mut self) {
        let waiting = "select payout_id, contradicted_attempt is not null,
                              status in ('submitted', 'unknown') and contradicted_attempt <> attempt_no
                       from payout where contradicted_attempt is not null or status = 'failed'
                       order by pay_on, kind, amount_fen";
        let waiting = sqlx::query_as(waiting).fetch_all(&self.town.app.pool).await;
        let waiting: Vec<(PayoutId, bool, Option<bool>)> = waiting.unwrap();
        for (payout_id, is_contradicted, is_under_way) in waiting {
            if is_contradicted && is_under_way == Some(false) {
                self.settle_payout(payout_id).await;
            } else if !is_contradicted && (self.is_diligent() || self.chance.random_bool(0.7)) {
                let retried = settlement::retry_payout(&self.town.app, payout_id, "Li").await;
                let Some(_) = unless_failed(retried) else {
                    panic!("not retried: {}", self.history_of(payout_id.uuid()).await);
                };
                self.count("retried");
            }
        }
        self.have_cancelled_sent_back().await;
    }

    /// If the bank paid a payout that was cancelled, it takes the money back: people are told of it once, and settle nothing.
    async fn have_cancelled_sent_back(&mut self) {
        let told = "select distinct payout_id, e.attempt_no from payout join payout_event e using (payout_id)
                    where payout.status = 'cancelled' and e.status = 'contradicted'";
        let told: Vec<(PayoutId, i16)> = sqlx::query_as(told).fetch_all(&self.town.app.pool).await.unwrap();
        for (payout_id, attempt_no) in told {
            lock(&self.world.payout).send_back(&format!("{payout_id}-{attempt_no}"));
        }
    }

    /// If the bank paid several times, it takes all but one payment back; two people say which one stays, if any.
    async fn settle_payout(&mut self, payout_id: PayoutId) {
        let mut paid: Vec<(String, String)> = Vec::new();
        for attempt in lock(&self.world.payout).attempts() {
            let is_of_it = attempt.order_key.starts_with(&format!("{payout_id}-"));
            let reference = attempt.bank_reference.filter(|_| is_of_it);
            paid.extend(reference.map(|reference| (attempt.order_key, reference)));
        }
        while paid.len() > 1 {
            let (order_key, _) = paid.remove(self.chance.random_range(0..paid.len()));
            lock(&self.world.payout).send_back(&order_key);
        }
        let ending = paid.pop().map_or(Ending::Failed, |(_, bank_reference)| Ending::Paid { bank_reference });
        if self.chance.random_bool(0.2) {
            let wrong = Ending::Paid { bank_reference: "typed wrongly".into() };
            let _ = unless_failed(settlement::settle_payout(&self.town.app, payout_id, wrong, "Chen").await);
        }
        for by in ["Li", "Wang"] {
            let settled = settlement::settle_payout(&self.town.app, payout_id, ending.clone(), by).await;
            let Some(_) = unless_failed(settled) else {
                panic!("{by} does not settle it as {ending:?}: {}", self.history_of(payout_id.uuid()).await);
            };
        }
        self.count("payouts");
    }
}

fn break_id(found: &OpenBreak) -> BreakId {
    BreakId::from_uuid(found.break_id)
}
