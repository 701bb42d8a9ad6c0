//! After a refusal: from when on another application is taken, and review by a person of what automation alone has refused
//! (个人信息保护法, article 24): who may ask for it, for which refusals, and until when.

use super::decision::{BORROWER, PARTNER, SCORECARD};
use super::model::{Applicant, Application, ApplicationStatus, ApplyRefusal, REAPPLY_AFTER, check_age};
use super::verdict::OwnReason;
use crate::base::BusinessDay;
use crate::base::id::{ApplicationId, FunderId};
use crate::borrower::Agreement;

/// The codes of a risk partner's refusal that no person may overrule; `docs/integrate/risk.md` lists them.
const FIRM: [&str; 4] = ["under_age", "over_age", "identity_mismatch", "consent_withdrawn"];

/// When a borrower asks, and about whose product.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The borrower's latest application: only that one is reviewed.
    pub latest: Option<ApplicationId>,
    /// Agreements that the borrower has taken back. One whose text is merely newer than the one signed does not count: it is
    /// asked for before the next application.
    pub taken_back: &'a [Agreement],
    pub funder_id: FunderId,
    pub today: BusinessDay,
    /// For how many days after a refusal it may be asked about.
    pub days: u32,
}

impl Application {
    /// The last day on which its borrower may ask for a review, `days` after the refusal. `None` where nobody may: a person or
    /// the funder has decided, a review was asked for before, or no person may overrule the reason.
    pub fn review_until(&self, days: u32) -> Option<BusinessDay> {
        let reason = self.refusal.as_deref().filter(|_| self.status == ApplicationStatus::Refused)?;
        let is_firm = self.is_overtaken() || FIRM.contains(&reason);
        let is_by_automation = matches!(self.decided_by.as_deref(), Some(SCORECARD | PARTNER));
        if is_firm || !is_by_automation || self.review.is_some() {
            return None;
        }
        self.decided_at.map(|at| BusinessDay::at(at).plus_days(days))
    }

    /// Whether it was refused because its borrower had got a line with the same funder by then, or owed again on one. That says
    /// nothing against the borrower, whoever has refused it with that code.
    pub fn is_overtaken(&self) -> bool {
        self.refusal.as_deref() == Some(OwnReason::LineOpen.code())
    }

    /// The day from which another application is taken after this one was refused. Where nobody has to wait, it is the next day,
    /// so that the refusal is shown until this one is over.
    pub fn again_on(&self) -> BusinessDay {
        let need_not_wait =
            self.is_unanswered() || self.is_overtaken() || (self.is_withdrawn() && self.review.is_none());
        match self.decided_at.filter(|_| need_not_wait) {
            Some(at) => BusinessDay::at(at).next(),
            None => self.bars_until(),
        }
    }

    /// The day from which another application is taken after a refusal for something of the applicant's own.
    pub fn bars_until(&self) -> BusinessDay {
        BusinessDay::at(self.created_at).plus_days(REAPPLY_AFTER)
    }

    /// Whether a person has reviewed its refusal; not where its borrower has withdrawn it first.
    pub fn is_reviewed(&self) -> bool {
        self.review.is_some() && !self.is_withdrawn()
    }

    /// Whether its borrower has ended it by taking a consent back.
    pub fn is_withdrawn(&self) -> bool {
        self.decided_by.as_deref() == Some(BORROWER)
    }
}

impl Applicant {
    /// Whether this applicant may ask for a review of an application now. Asking again for one that is before a person already is
    /// allowed, and changes nothing.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn may_ask(&self, application: &Application, asking: Asking<'_>) -> Result<(), ApplyRefusal> {
        if application.status == ApplicationStatus::Referred {
            return Ok(());
        }
        let is_latest = asking.latest == Some(application.application_id);
        let is_in_time = application.review_until(asking.days).is_some_and(|last| asking.today <= last);
        if !is_latest || !is_in_time {
            return Err(ApplyRefusal::ReviewNotOffered);
        }
        check_age(self.age)?;
        if let Some(&agreement) = asking.taken_back.first() {
            return Err(ApplyRefusal::AgreementMissing { agreement });
        }
        if self.lines_with.contains(&asking.funder_id) { Err(ApplyRefusal::LineOpen) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::base::id::{BorrowerId, ProductId};
    use crate::credit::facts::Facts;
    use crate::credit::model::{Review, Step, Transition};

    fn refused(reason: &str, decided_by: &str) -> Application {
        let at: DateTime<Utc> = "2026-03-05T02:00:00Z".parse().unwrap();
        Application {
            application_id: ApplicationId::from_uuid(Uuid::from_u128(1)),
            borrower_id: BorrowerId::from_uuid(Uuid::from_u128(2)),
            product_id: ProductId::from_uuid(Uuid::from_u128(3)),
            product_version: 1,
            idempotency_key: "k".into(),
            request_sha256: [0; 32],
            facts: Facts { age: 30, limit_requested_fen: None, history: None },
            status: ApplicationStatus::Refused,
            referral: None,
            refusal: Some(reason.into()),
            score: None,
            grade: None,
            limit: None,
            line_id: None,
            decided_by: Some(decided_by.into()),
            decided_at: Some(at),
            proposal: None,
            review: None,
            asked_partner: None,
            created_at: at,
        }
    }

    fn applicant() -> Applicant {
        Applicant {
            age: 30,
            signed: Agreement::ALL.to_vec(),
            has_bound_card: true,
            lines_with: Vec::new(),
            open_applications: Vec::new(),
            refused_on: None,
        }
    }

    fn asking(today: &str) -> Asking<'static> {
        let latest = Some(ApplicationId::from_uuid(Uuid::from_u128(1)));
        let funder_id = FunderId::from_uuid(Uuid::from_u128(4));
        Asking { latest, taken_back: &[], funder_id, today: today.parse().unwrap(), days: 30 }
    }

    #[test]
    fn what_automation_alone_refused_is_looked_at_until_the_last_day() {
        for by in [SCORECARD, PARTNER] {
            let application = refused("score_too_low", by);
            assert_eq!(applicant().may_ask(&application, asking("2026-04-04")), Ok(()));
            let late = applicant().may_ask(&application, asking("2026-04-05"));
            assert_eq!(late, Err(ApplyRefusal::ReviewNotOffered));
        }
    }

    #[test]
    fn only_a_refusal_goes_before_a_person_and_once_there_it_stays() {
        use ApplicationStatus::{Approved, Referred, Refused, Submitted, WithFunder};
        assert_eq!(Refused.after_asking(Step::BorrowerAsks), Transition::To(Referred));
        assert_eq!(Referred.after(Step::BorrowerAsks), Transition::AlreadyApplied);
        for status in [Submitted, WithFunder, Approved] {
            assert_eq!(status.after(Step::BorrowerAsks), Transition::Illegal);
        }
    }

    #[test]
    fn what_a_person_the_funder_or_its_deadline_refused_is_not_looked_at_again() {
        for by in ["person:Li Na", "funder:harbour-core: K-1", "deadline"] {
            assert_eq!(refused("score_too_low", by).review_until(30), None, "{by}");
        }
        let at = DateTime::UNIX_EPOCH;
        let asked = Review { asked_at: at, of: "score_too_low".into(), refused_by: SCORECARD.into(), refused_at: at };
        let reviewed = Application { review: Some(asked), ..refused("score_too_low", SCORECARD) };
        assert_eq!(reviewed.review_until(30), None, "once for each application");
        assert!(reviewed.is_reviewed());
        let ended = Application { decided_by: Some(BORROWER.into()), ..reviewed };
        assert!(!ended.is_reviewed(), "its borrower ended it first");
        let again_on = |application: &Application| application.again_on().to_string();
        assert_eq!(again_on(&ended), "2026-04-04", "what automation had refused before still counts");
        assert_eq!(again_on(&Application { review: None, ..ended }), "2026-03-06");
        assert_eq!(again_on(&refused("funder_silent", "deadline")), "2026-03-06");
        for by in [PARTNER, "person:Li Na", "funder:harbour-core: K-1"] {
            assert_eq!(again_on(&refused("funder_silent", by)), "2026-04-04", "{by} was not silent");
            assert_eq!(again_on(&refused("line_open", by)), "2026-03-06", "it says nothing against anybody");
        }
    }

    #[test]
    fn what_no_person_may_overrule_is_not_offered() {
        for reason in ["line_open", "under_age", "over_age", "identity_mismatch", "consent_withdrawn"] {
            assert_eq!(refused(reason, PARTNER).review_until(30), None, "{reason}");
        }
        let application = refused("score_too_low", PARTNER);
        let agreement = Agreement::PersonalInformation;
        let without = Asking { taken_back: &[agreement], ..asking("2026-03-05") };
        let missing = applicant().may_ask(&application, without);
        assert_eq!(missing, Err(ApplyRefusal::AgreementMissing { agreement }));
        let of_a_former_text = Applicant { signed: Vec::new(), ..applicant() };
        assert_eq!(of_a_former_text.may_ask(&application, asking("2026-03-05")), Ok(()));
        let with_line = Applicant { lines_with: vec![asking("2026-03-05").funder_id], ..applicant() };
        assert_eq!(with_line.may_ask(&application, asking("2026-03-05")), Err(ApplyRefusal::LineOpen));
        let anew = Asking { latest: None, ..asking("2026-03-05") };
        assert_eq!(applicant().may_ask(&application, anew), Err(ApplyRefusal::ReviewNotOffered));
    }
}
