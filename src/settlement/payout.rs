//! Payouts (出款): payments through the channel. Without an answer the outcome is unknown; it is asked for again with the same key, and
//! never leads to a second payment.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;

use super::payable::{ClosedDay, PayableStatus};
use crate::base::id::{self, BorrowerId, CardId, FunderId, LineId, MerchantId, PayoutId, RemittanceId, SettlementId};
use crate::base::{BusinessDay, Fen, words};
use crate::error::Refusal;

/// A payment to make that is not sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPayout {
    pub payout_id: PayoutId,
    pub paid_for: PayoutFor,
    pub amount: Fen,
    pub pay_on: BusinessDay,
    pub created_at: DateTime<Utc>,
}

impl NewPayout {
    /// The payment of what is payable at the end of a day; `None` if that is zero or negative.
    pub fn of_day(closed: ClosedDay, paid_for: PayoutFor, payable: Fen) -> Option<NewPayout> {
        (PayableStatus::of(payable) == PayableStatus::ToPay).then(|| NewPayout {
            payout_id: paid_for.id_of_day(closed.business_day),
            paid_for,
            amount: payable,
            pay_on: closed.pay_on,
            created_at: closed.at,
        })
    }
}

/// What is paid, and to whom. Each source is paid at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutFor {
    Settlement {
        settlement_id: SettlementId,
        merchant_id: MerchantId,
    },
    Remittance {
        remittance_id: RemittanceId,
        funder_id: FunderId,
    },
    /// What is paid back to a borrower after a refund, or as the excess of a repayment.
    Borrower {
        /// The id of the refund or repayment.
        source_id: Uuid,
        line_id: LineId,
        funder_id: FunderId,
        borrower_id: BorrowerId,
        /// `None` for the default card at the time of payment.
        card_id: Option<CardId>,
    },
}

impl PayoutFor {
    /// The id of the payout, which is also its key at the channel. It depends only on the day and the payee: if the database is
    /// restored from before a day's close and the day is closed again, its payouts have the keys that the channel knows already, and
    /// are not paid twice.
    fn id_of_day(&self, day: BusinessDay) -> PayoutId {
        let payee = match self {
            PayoutFor::Settlement { merchant_id, .. } => merchant_id.uuid(),
            PayoutFor::Remittance { funder_id, .. } => funder_id.uuid(),
            PayoutFor::Borrower { source_id, .. } => *source_id,
        };
        PayoutId::from_uuid(id::derive(day.instant(NaiveTime::MIN), payee, "payout of the day"))
    }
}

/// What a payout pays, as it is stored; see [`PayoutFor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PayoutKind {
    Settlement,
    Remittance,
    Borrower,
}

words! {
    /// The state of a payout's present attempt.
    pub enum PayoutStatus {
        /// To be sent once its day has come.
        Created = "created",
        /// Marked before the call, so that after a crash it is asked about.
        Submitted = "submitted",
        /// The channel did not answer, or not clearly.
        Unknown = "unknown",
        Succeeded = "succeeded",
        Failed = "failed",
        /// No longer owed, and no attempt was paid; final, and never sent.
        Cancelled = "cancelled",
    }
}

/// The state of one payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub attempt_no: i16,
    /// The earlier attempt whose payment is booked because people settled it so: only its denial contradicts the books.
    pub paid_earlier: Option<i16>,
    pub amount: Fen,
    pub state: PayoutState,
}

/// The status, with the data that exists only then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayoutState {
    Created,
    Submitted,
    Unknown,
    Succeeded { bank_reference: String },
    Failed { failure: String },
    Cancelled,
}

/// What the channel says about one attempt, in response to a call or query, or by callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub attempt_no: i16,
    /// The amount that the channel names, if it names one.
    pub amount: Option<Fen>,
    pub word: Word,
}

/// What the channel says, or our own word for it if the channel said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Succeeded {
        bank_reference: String,
    },
    /// Explicitly and finally not paid.
    Failed {
        failure: String,
    },
    /// Received, but not decided.
    Pending,
    /// The channel says that it never received it.
    NotReceived,
    /// This call did not reach the channel. Our own word.
    NotSent,
    /// Nothing was sent, or it was rejected, but an earlier request under the same key may still be paid. Our own word.
    HeldUp {
        why: String,
    },
    /// No answer, or none that counts.
    Silence,
}

/// What an answer means for a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    Paid {
        bank_reference: String,
    },
    Failed {
        failure: String,
    },
    /// Ask again later.
    Wait,
    /// Ask again later, too: nothing was sent, because there is no payee or the channel rejects it, but an earlier request may still be
    /// paid.
    HeldUp {
        why: String,
    },
    /// Send it again under the same key, which the channel pays at most once.
    SendAgain,
    AlreadyApplied,
    /// The channel contradicts its own final answer, or paid another amount: nothing is booked, and people must settle it.
    Contradiction(ContradictionKind),
}

words! {
    /// How the channel contradicts itself, in the kinds that breaks use.
    pub enum ContradictionKind {
        /// It says that it paid an attempt that it had refused.
        WeFailedTheySucceeded = "we_failed_they_succeeded",
        /// It denies a payment that was booked on its answer.
        WeSucceededTheyFailed = "we_succeeded_they_failed",
        /// It says that it paid another amount than it was asked to pay.
        AmountDiffers = "amount_differs",
        /// It names another payment besides the booked one.
        NamedTwice = "named_twice",
    }
}

impl Standing {
    /// What an answer means for this payout. A final answer is never overturned by a later one.
    pub fn learn(&self, answer: &Answer) -> Learned {
        if answer.attempt_no != self.attempt_no {
            // Earlier attempts had failed for good before there was a next one.
            return match &answer.word {
                // People stated it before the channel did.
                Word::Succeeded { bank_reference } if self.is_paid_under(bank_reference) => Learned::AlreadyApplied,
                Word::Succeeded { .. } => Learned::Contradiction(self.paid_elsewhere()),
                Word::Failed { .. } if self.paid_earlier == Some(answer.attempt_no) => {
                    Learned::Contradiction(ContradictionKind::WeSucceededTheyFailed)
                }
                Word::Failed { .. }
                | Word::Pending
                | Word::NotReceived
                | Word::NotSent
                | Word::HeldUp { .. }
                | Word::Silence => Learned::AlreadyApplied,
            };
        }
        if matches!(answer.word, Word::Succeeded { .. }) && answer.amount.is_some_and(|theirs| theirs != self.amount) {
            // Money moved, but not the amount that was asked for: nothing is booked.
            return Learned::Contradiction(ContradictionKind::AmountDiffers);
        }
        if self.paid_earlier.is_some() && !matches!(answer.word, Word::Succeeded { .. }) {
            return Learned::AlreadyApplied;
        }
        match (&self.state, &answer.word) {
            (
                PayoutState::Created | PayoutState::Submitted | PayoutState::Unknown,
                Word::Succeeded { bank_reference },
            ) => Learned::Paid { bank_reference: bank_reference.clone() },
            (PayoutState::Created | PayoutState::Submitted | PayoutState::Unknown, Word::Failed { failure }) => {
                Learned::Failed { failure: failure.clone() }
            }
            (PayoutState::Created | PayoutState::Submitted | PayoutState::Unknown, Word::Pending) => Learned::Wait,
            (PayoutState::Submitted | PayoutState::Unknown, Word::Silence) => Learned::Wait,
            (PayoutState::Submitted | PayoutState::Unknown, Word::HeldUp { why }) => {
                Learned::HeldUp { why: why.clone() }
            }
            (PayoutState::Submitted | PayoutState::Unknown, Word::NotReceived | Word::NotSent) => Learned::SendAgain,
            (PayoutState::Created, Word::NotReceived | Word::NotSent | Word::HeldUp { .. } | Word::Silence) => {
                Learned::AlreadyApplied
            }
            (PayoutState::Succeeded { bank_reference: ours }, Word::Succeeded { bank_reference: theirs }) => {
                if ours == theirs {
                    Learned::AlreadyApplied
                } else {
                    Learned::Contradiction(ContradictionKind::NamedTwice)
                }
            }
            (PayoutState::Succeeded { .. }, Word::Failed { .. } | Word::NotReceived) => {
                Learned::Contradiction(ContradictionKind::WeSucceededTheyFailed)
            }
            (PayoutState::Succeeded { .. }, Word::Pending | Word::NotSent | Word::HeldUp { .. } | Word::Silence) => {
                Learned::AlreadyApplied
            }
            (PayoutState::Failed { .. } | PayoutState::Cancelled, Word::Succeeded { .. }) => {
                Learned::Contradiction(ContradictionKind::WeFailedTheySucceeded)
            }
            (
                PayoutState::Failed { .. } | PayoutState::Cancelled,
                Word::Failed { .. }
                | Word::Pending
                | Word::NotReceived
                | Word::NotSent
                | Word::HeldUp { .. }
                | Word::Silence,
            ) => Learned::AlreadyApplied,
        }
    }

    /// The kind of contradiction if an earlier attempt, which had failed, was paid after all.
    fn paid_elsewhere(&self) -> ContradictionKind {
        match self.state {
            PayoutState::Succeeded { .. } => ContradictionKind::NamedTwice,
            PayoutState::Created
            | PayoutState::Submitted
            | PayoutState::Unknown
            | PayoutState::Failed { .. }
            | PayoutState::Cancelled => ContradictionKind::WeFailedTheySucceeded,
        }
    }

    fn is_paid_under(&self, reference: &str) -> bool {
        matches!(&self.state, PayoutState::Succeeded { bank_reference } if bank_reference == reference)
    }
}

/// The result of trying to cancel a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelling {
    /// No attempt was paid, and none will be made.
    Cancelled,
    /// An attempt may still be paid.
    UnderWay {
        payout_id: PayoutId,
    },
    Paid {
        payout_id: PayoutId,
    },
}

/// How long after a payout was claimed its request may still reach the channel and be paid: the call begins within half a minute, and
/// signatures expire after five minutes by the channel's clock, which may be five minutes slow. The rest is for a slow answer.
const ARRIVES_WITHIN: TimeDelta = TimeDelta::minutes(15);

/// Whether the last request of an attempt may still be paid: unless the channel said, after the request could no longer arrive, that it
/// never received it.
pub fn may_arrive(sent_at: Option<DateTime<Utc>>, denied_at: Option<DateTime<Utc>>) -> bool {
    sent_at.is_some_and(|sent_at| denied_at.is_none_or(|denied_at| denied_at < sent_at + ARRIVES_WITHIN))
}

/// How long after it was booked as paid a payout is asked about again: a bank may return the money within some days, and the callback
/// that reports it may be lost.
pub const ASK_AGAIN_AFTER: TimeDelta = TimeDelta::days(1);
/// How many times it is asked about again, one day apart.
pub const ASK_AGAIN_TIMES: i16 = 3;

/// Why a payout is not retried or settled, or a callback is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoutRefusal {
    #[error("there is no such payout")]
    UnknownPayout,
    #[error("only a payout that failed can be retried; this one is {}", status.name())]
    NotFailed { status: PayoutStatus },
    #[error("the channel contradicts itself about this payout; two people settle it first: `fenqi payout settle`")]
    Contradicted,
    #[error("the channel does not contradict itself about this payout")]
    NotContradicted,
    #[error(
        "the payee's account is closed and no card is known any more; pay by hand, then two people say so: `fenqi payout settle`"
    )]
    PayeeForgotten,
    #[error("attempt {attempt_no} is under way and may be paid; it is settled once the channel has answered")]
    UnderWay { attempt_no: i16 },
    #[error("the person who said it first cannot confirm it; somebody else has to")]
    OwnProposal,
    #[error("a payout that was paid has the bank's reference")]
    ReferenceMissing,
    #[error("a name is needed: who does it")]
    NameMissing,
    #[error("the channel speaks of {theirs} yuan, but the payout is of {ours}")]
    AmountDiffers { ours: Fen, theirs: Fen },
}

impl Refusal for PayoutRefusal {
    fn code(&self) -> &'static str {
        match self {
            PayoutRefusal::UnknownPayout => "unknown_payout",
            PayoutRefusal::NotFailed { .. } => "payout_not_failed",
            PayoutRefusal::Contradicted => "payout_contradicted",
            PayoutRefusal::NotContradicted => "payout_not_contradicted",
            PayoutRefusal::PayeeForgotten => "payee_forgotten",
            PayoutRefusal::UnderWay { .. } => "payout_under_way",
            PayoutRefusal::OwnProposal => "own_proposal",
            PayoutRefusal::ReferenceMissing => "bank_reference_missing",
            PayoutRefusal::NameMissing => "name_missing",
            PayoutRefusal::AmountDiffers { .. } => "payout_amount_differs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: PayoutState) -> Standing {
        Standing { attempt_no: 2, paid_earlier: None, amount: Fen::new(9_940), state }
    }

    fn says(word: Word) -> Answer {
        Answer { attempt_no: 2, amount: None, word }
    }

    fn paid(reference: &str) -> Word {
        Word::Succeeded { bank_reference: reference.into() }
    }

    #[test]
    fn a_day_that_is_closed_again_pays_under_the_same_keys() {
        let id = |number| Uuid::from_u128(number);
        let closed = |day: &str, at| ClosedDay {
            business_day: day.parse().unwrap(),
            pay_on: "2026-03-04".parse().unwrap(),
            at: DateTime::from_timestamp(at, 0).unwrap(),
        };
        let key = |closed, (settlement, merchant)| {
            let settlement_id = SettlementId::from_uuid(id(settlement));
            let paid_for = PayoutFor::Settlement { settlement_id, merchant_id: MerchantId::from_uuid(id(merchant)) };
            NewPayout::of_day(closed, paid_for, Fen::new(1)).unwrap().payout_id
        };
        let first = key(closed("2026-03-02", 1), (1, 11));
        assert_eq!(first, key(closed("2026-03-02", 2), (2, 11)));
        assert_ne!(first, key(closed("2026-03-03", 1), (1, 11)));
        assert_ne!(first, key(closed("2026-03-02", 1), (1, 12)));
        assert_eq!(first.uuid().get_version_num(), 7);
    }

    #[test]
    fn silence_is_unknown_and_never_a_failure() {
        assert_eq!(standing(PayoutState::Submitted).learn(&says(Word::Silence)), Learned::Wait);
        assert_eq!(standing(PayoutState::Unknown).learn(&says(Word::Silence)), Learned::Wait);
    }

    #[test]
    fn success_is_learnt_once() {
        let expected = Learned::Paid { bank_reference: "B1".into() };
        assert_eq!(standing(PayoutState::Unknown).learn(&says(paid("B1"))), expected);
        let succeeded = standing(PayoutState::Succeeded { bank_reference: "B1".into() });
        assert_eq!(succeeded.learn(&says(paid("B1"))), Learned::AlreadyApplied);
        assert_eq!(succeeded.learn(&says(paid("B2"))), Learned::Contradiction(ContradictionKind::NamedTwice));
    }

    #[test]
    fn a_booked_payment_that_is_denied_is_a_contradiction() {
        let succeeded = standing(PayoutState::Succeeded { bank_reference: "B1".into() });
        let denied = Learned::Contradiction(ContradictionKind::WeSucceededTheyFailed);
        assert_eq!(succeeded.learn(&says(Word::Failed { failure: "x".into() })), denied);
        assert_eq!(succeeded.learn(&says(Word::NotReceived)), denied);
        assert_eq!(succeeded.learn(&says(Word::Pending)), Learned::AlreadyApplied);
        // A call of ours that did not get through says nothing.
        assert_eq!(succeeded.learn(&says(Word::NotSent)), Learned::AlreadyApplied);
        assert_eq!(standing(PayoutState::Submitted).learn(&says(Word::NotSent)), Learned::SendAgain);
        // Repeating that a failed attempt failed denies nothing.
        let earlier = Answer { attempt_no: 1, amount: None, word: Word::Failed { failure: "x".into() } };
        assert_eq!(succeeded.learn(&earlier), Learned::AlreadyApplied);
        // Unless that attempt's payment is the booked one.
        let by_earlier = Standing { paid_earlier: Some(1), ..succeeded };
        assert_eq!(by_earlier.learn(&earlier), denied);
        assert_eq!(by_earlier.learn(&says(Word::NotReceived)), Learned::AlreadyApplied);
    }

    #[test]
    fn a_success_for_another_amount_is_not_believed() {
        let of = |fen| Answer { amount: Some(Fen::new(fen)), ..says(paid("B1")) };
        let differs = Learned::Contradiction(ContradictionKind::AmountDiffers);
        assert_eq!(standing(PayoutState::Unknown).learn(&of(994)), differs);
        assert_eq!(standing(PayoutState::Unknown).learn(&of(9_940)), Learned::Paid { bank_reference: "B1".into() });
    }

    #[test]
    fn a_cancelled_payout_stays_cancelled_and_a_payment_of_it_is_a_contradiction() {
        let cancelled = standing(PayoutState::Cancelled);
        let paid_all_the_same = Learned::Contradiction(ContradictionKind::WeFailedTheySucceeded);
        assert_eq!(cancelled.learn(&says(paid("B1"))), paid_all_the_same);
        assert_eq!(cancelled.learn(&says(Word::NotReceived)), Learned::AlreadyApplied);
    }

    #[test]
    fn what_the_channel_never_heard_of_is_sent_again_under_its_key() {
        assert_eq!(standing(PayoutState::Unknown).learn(&says(Word::NotReceived)), Learned::SendAgain);
        assert_eq!(standing(PayoutState::Created).learn(&says(Word::NotReceived)), Learned::AlreadyApplied);
    }

    #[test]
    fn what_may_still_arrive_is_not_given_up() {
        let held_up = says(Word::HeldUp { why: "payee_missing".into() });
        let learned = Learned::HeldUp { why: "payee_missing".into() };
        assert_eq!(standing(PayoutState::Submitted).learn(&held_up), learned);
        assert_eq!(standing(PayoutState::Failed { failure: "x".into() }).learn(&held_up), Learned::AlreadyApplied);
        let at = |minutes| Some(DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes));
        assert!(!may_arrive(None, None), "it was never sent");
        assert!(may_arrive(at(0), None));
        assert!(may_arrive(at(0), at(14)));
        assert!(!may_arrive(at(0), at(15)));
        assert!(may_arrive(at(20), at(15)), "it was sent again since");
    }

    #[test]
    fn an_answer_about_an_earlier_attempt_changes_nothing() {
        let earlier = |word| Answer { attempt_no: 1, amount: None, word };
        let submitted = standing(PayoutState::Submitted);
        assert_eq!(submitted.learn(&earlier(Word::Failed { failure: "closed".into() })), Learned::AlreadyApplied);
        let had_failed = Learned::Contradiction(ContradictionKind::WeFailedTheySucceeded);
        assert_eq!(submitted.learn(&earlier(paid("B1"))), had_failed);
        // Unless people stated it before: then it is the booked payment.
        let succeeded = standing(PayoutState::Succeeded { bank_reference: "B1".into() });
        assert_eq!(succeeded.learn(&earlier(paid("B1"))), Learned::AlreadyApplied);
        let twice = Learned::Contradiction(ContradictionKind::NamedTwice);
        assert_eq!(succeeded.learn(&earlier(paid("B2"))), twice);
    }

    #[test]
    fn an_answer_means_the_same_wherever_an_attempt_is_under_way_and_overturns_nothing_final() {
        let x = || "x".to_owned();
        let unpaid = [Word::Pending, Word::NotReceived, Word::NotSent, Word::HeldUp { why: x() }, Word::Silence];
        let failed = Word::Failed { failure: x() };
        let learn = |state: &PayoutState, word: &Word| standing(state.clone()).learn(&says(word.clone()));
        let learned = |state: &PayoutState| unpaid.each_ref().map(|word| learn(state, word));
        let (again, stands) = (|| Learned::SendAgain, || Learned::AlreadyApplied);
        for state in [PayoutState::Created, PayoutState::Submitted, PayoutState::Unknown] {
            assert_eq!(learn(&state, &paid("B1")), Learned::Paid { bank_reference: "B1".into() });
            assert_eq!(learn(&state, &failed), Learned::Failed { failure: x() });
        }
        for state in [PayoutState::Submitted, PayoutState::Unknown] {
            let held_up = Learned::HeldUp { why: x() };
            assert_eq!(learned(&state), [Learned::Wait, again(), again(), held_up, Learned::Wait]);
        }
        // Nothing was sent, so nothing can be sent again.
        assert_eq!(learned(&PayoutState::Created), [Learned::Wait, stands(), stands(), stands(), stands()]);
        for state in [PayoutState::Failed { failure: x() }, PayoutState::Cancelled] {
            let contradiction = Learned::Contradiction(ContradictionKind::WeFailedTheySucceeded);
            assert_eq!(learn(&state, &paid("B1")), contradiction);
            assert_eq!(learn(&state, &failed), stands());
            assert_eq!(learned(&state), [stands(), stands(), stands(), stands(), stands()]);
        }
    }
}
