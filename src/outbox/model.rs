//! What a message is, when a failed one is tried again, and how many go into one call.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::base::clock::CLOCKS_APART_MAX;

/// One thing that happened, to be told to a partner. Messages about one object arrive in the order in which they were
/// written.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The partner: a funder's code, `merchant:<id>`, `sms` or `wechat`.
    pub partner: String,
    /// What happened, such as `loan_made`: a kind of the catalogue or of a notice.
    pub kind: &'static str,
    /// The object that it is about, whose messages keep their order: a loan, a line, an order, a borrower.
    pub object_id: Uuid,
    /// An object; for events as the catalogue's example of the kind.
    pub body: serde_json::Value,
    pub created_at: DateTime<Utc>,
}

/// A range of message numbers: above `after_no`, up to and including `up_to_no`.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub after_no: i64,
    pub up_to_no: i64,
}

/// How quickly messages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// How often waiting messages are looked for.
    pub pause: Duration,
    /// The first delay after a failure; each further one is twice as long, up to a day.
    pub delay_first: TimeDelta,
    /// After this time a partner's run makes room for others that wait. Well below a minute, for which a node that is told to
    /// stop waits for runs under way: of a batch that is cut off everything is sent again.
    pub turn: Duration,
}

impl Default for DeliverySettings {
    fn default() -> DeliverySettings {
        DeliverySettings {
            pause: Duration::from_secs(2),
            delay_first: TimeDelta::seconds(5),
            turn: Duration::from_secs(30),
        }
    }
}

/// How long a run for one partner may go on.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// Until nothing is due any more.
    ToTheEnd,
    /// Until then at the longest: a partner that takes messages slowly, and always has more of them waiting, would never make
    /// room for others.
    Until(Instant),
}

impl Turn {
    pub fn is_over(self) -> bool {
        match self {
            Turn::ToTheEnd => false,
            Turn::Until(end) => Instant::now() >= end,
        }
    }
}

/// Attempts after which a message is a dead letter: with a first delay of five seconds, after about four days.
const ATTEMPTS_MAX: i16 = 18;
const DELAY_MAX: TimeDelta = TimeDelta::days(1);

impl DeliverySettings {
    /// How long to wait after the `failures`-th failure in a row: doubling, up to a day.
    pub fn delay_after(self, failures: i16) -> TimeDelta {
        // Twenty doublings are far beyond a day already, and fit.
        let doublings = failures.clamp(1, 21) - 1;
        (self.delay_first * (1 << doublings)).min(DELAY_MAX)
    }

    /// The circuit breaker that all nodes share: how long a partner is left alone after the `failures`-th run in a row that
    /// found it down. After that one message is tried, and its result decides.
    pub fn open_for(self, failures: i16) -> TimeDelta {
        self.delay_after(failures).min(OPEN_FOR_MAX)
    }
}

/// When a message that failed is tried again, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// After delays that double, up to a day.
    Growing,
    /// At the intervals at which WeChat Pay notifies merchants: for about a day.
    AsWeChatPay,
}

/// Source: 微信支付 API v3 支付通知.
const WECHAT_PAY_SECONDS: [i64; 15] =
    [15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600, 10_800, 10_800, 10_800, 21_600, 21_600];

impl Retries {
    /// How long to wait after the `attempts`-th attempt; `None` after the last one.
    pub fn after(self, attempts: i16, settings: DeliverySettings) -> Option<TimeDelta> {
        match self {
            Retries::Growing => (attempts < ATTEMPTS_MAX).then(|| settings.delay_after(attempts)),
            Retries::AsWeChatPay => {
                let place = usize::try_from(attempts - 1).unwrap_or(0);
                WECHAT_PAY_SECONDS.get(place).map(|seconds| TimeDelta::seconds(*seconds))
            }
        }
    }
}

/// The longest time for which a partner that is down is left alone, so that its return is noticed soon.
const OPEN_FOR_MAX: TimeDelta = TimeDelta::minutes(5);

/// The latest time until which a partner can have been left alone as of `now`: a later one was stored by a clock that ran
/// ahead, and is ignored.
pub fn left_alone_until_max(now: DateTime<Utc>) -> DateTime<Utc> {
    now + OPEN_FOR_MAX + CLOCKS_APART_MAX
}

/// The latest time to which a failed message can have been put off, seen from a run that began at `began`: a later one was
/// stored by a clock that ran ahead, and is ignored. A run may last for hours, and what fails in it is put off from then:
/// hence twice the longest delay.
pub fn delayed_until_max(began: DateTime<Utc>) -> DateTime<Utc> {
    began + DELAY_MAX * 2
}

/// The most messages in one call.
const BATCH_MAX: usize = 500;
/// A batch that failed as a whole is cut to a quarter, again and again, until the message that causes the failure stands
/// alone.
const SHRINK: usize = 4;
/// How many single messages in a row go unanswered before the partner itself is taken to be down.
const SINGLES_MAX: u32 = 3;

/// How many messages go into the next call, depending on how the last ones went.
#[derive(Debug, PartialEq)]
pub struct Pace {
    size: usize,
    singles_failed: u32,
    /// Whether the last call is still to be explained: by a message that spoils it, or by a partner that is down.
    is_in_doubt: bool,
}

/// What to do after a call that was not answered, or was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Send fewer messages, from the same place on.
    SendFewer,
    /// The call held one message: that one fails, and the others go on.
    Blame,
    /// That one fails, and the partner is down. It fails because it may be what brings the partner down: the next trial is
    /// then made with another message.
    BlameAndLeaveAlone,
}

impl Pace {
    /// For a partner that is up: full batches.
    pub fn new() -> Pace {
        Pace { size: BATCH_MAX, singles_failed: 0, is_in_doubt: false }
    }

    /// For a partner that was down: one message tells whether it still is.
    pub fn trial() -> Pace {
        Pace { size: 1, singles_failed: SINGLES_MAX - 1, is_in_doubt: false }
    }

    /// How many messages the next call takes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many more calls in a row may go unanswered until the partner is taken to be down.
    pub fn patience(&self) -> u32 {
        (SINGLES_MAX - self.singles_failed.min(SINGLES_MAX)).max(1)
    }

    /// A call was answered: the next one may take more.
    pub fn succeeded(&mut self) {
        self.size = (self.size * SHRINK).min(BATCH_MAX);
        self.singles_failed = 0;
        self.is_in_doubt = false;
    }

    /// Whether a run must not end here: the next one would begin with full batches again, and never come to know what is wrong.
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// A call with `sent` messages was not answered.
    pub fn unanswered(&mut self, sent: usize) -> AfterFailure {
        self.is_in_doubt = true;
        if sent > 1 {
            return self.send_fewer(sent);
        }
        self.singles_failed += 1;
        if self.singles_failed < SINGLES_MAX { AfterFailure::Blame } else { AfterFailure::BlameAndLeaveAlone }
    }

    /// A call with `sent` messages was refused as a whole. A partner that refuses is up: however many single messages are
    /// refused, only these fail.
    pub fn refused(&mut self, sent: usize) -> AfterFailure {
        self.singles_failed = 0;
        self.is_in_doubt = sent > 1;
        if sent > 1 { self.send_fewer(sent) } else { AfterFailure::Blame }
    }

    fn send_fewer(&mut self, sent: usize) -> AfterFailure {
        self.size = (sent / SHRINK).max(1);
        AfterFailure::SendFewer
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_day() {
        let settings = DeliverySettings::default();
        assert_eq!(settings.delay_after(1), TimeDelta::seconds(5));
        assert_eq!(settings.delay_after(2), TimeDelta::seconds(10));
        assert_eq!(settings.delay_after(40), TimeDelta::days(1));
        assert_eq!(Retries::Growing.after(17, settings), Some(settings.delay_after(17)));
        assert_eq!(Retries::Growing.after(18, settings), None);
    }

    #[test]
    fn what_fails_late_in_a_long_run_is_not_tried_again_in_it() {
        let began = DateTime::UNIX_EPOCH;
        let failed_at = began + TimeDelta::hours(12);
        let again_at = failed_at + DeliverySettings::default().delay_after(ATTEMPTS_MAX);
        assert!(again_at <= delayed_until_max(began));
    }

    #[test]
    fn merchants_are_told_again_as_wechat_pay_does_for_a_day() {
        let settings = DeliverySettings::default();
        let delays: Vec<TimeDelta> =
            (1..).map_while(|attempts| Retries::AsWeChatPay.after(attempts, settings)).collect();
        assert_eq!(delays.len(), 15);
        assert_eq!(delays.into_iter().sum::<TimeDelta>(), TimeDelta::minutes(24 * 60 + 4));
    }

    #[test]
    fn a_batch_that_fails_shrinks_to_the_message_that_spoils_it() {
        let mut pace = Pace::new();
        let mut sizes = vec![pace.size()];
        while pace.unanswered(pace.size()) == AfterFailure::SendFewer {
            sizes.push(pace.size());
        }
        assert_eq!(sizes, [500, 125, 31, 7, 1]);
        pace.succeeded();
        assert_eq!(pace.size(), 4);
    }

    #[test]
    fn lone_messages_that_fail_in_a_row_mean_that_the_partner_is_down() {
        let mut pace = Pace::new();
        assert_eq!(pace.unanswered(1), AfterFailure::Blame);
        assert_eq!(pace.unanswered(1), AfterFailure::Blame);
        assert_eq!(pace.unanswered(1), AfterFailure::BlameAndLeaveAlone);
    }

    #[test]
    fn a_partner_that_refuses_one_message_after_another_is_there() {
        let mut pace = Pace::trial();
        assert_eq!((1..=9).map(|_| pace.refused(1)).collect::<Vec<_>>(), [AfterFailure::Blame; 9]);
        assert_eq!((pace.size(), pace.patience()), (1, SINGLES_MAX));
        assert_eq!((pace.refused(20), pace.size()), (AfterFailure::SendFewer, 5));
    }

    #[test]
    fn what_failed_is_in_doubt_until_it_is_known_why() {
        let mut pace = Pace::new();
        assert!(!pace.is_in_doubt());
        for sent in [500, 1] {
            pace.unanswered(sent);
            assert!(pace.is_in_doubt(), "{sent} were not answered");
        }
        pace.succeeded();
        assert!(!pace.is_in_doubt());
        pace.refused(500);
        assert!(pace.is_in_doubt(), "one of them may be what is refused");
        pace.refused(1);
        assert!(!pace.is_in_doubt());
    }

    #[test]
    fn a_partner_that_was_down_is_tried_with_one_message() {
        let mut pace = Pace::trial();
        assert_eq!((pace.size(), pace.patience()), (1, 1));
        assert_eq!(pace.unanswered(1), AfterFailure::BlameAndLeaveAlone);
        let mut pace = Pace::trial();
        pace.succeeded();
        assert_eq!((pace.size(), pace.unanswered(1)), (4, AfterFailure::Blame));
    }

    #[test]
    fn a_partner_that_is_down_is_left_alone_for_growing_times_up_to_five_minutes() {
        let settings = DeliverySettings::default();
        let open = [1, 2, 30].map(|failures| settings.open_for(failures));
        assert_eq!(open, [settings.delay_after(1), settings.delay_after(2), TimeDelta::minutes(5)]);
    }
}
