//! An entry of the audit trail, and how it is chained to the one before it.

use std::fmt::Display;

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base::hex::hex_encode;
use crate::base::words;

const HASH_BYTES: usize = 32;

words! {
    /// How it is known who somebody is.
    pub enum KnownBy {
        /// By the name that was typed with the command (`--by`).
        Typed = "typed",
        /// By the account of the operating system, because no name was typed.
        SystemUser = "system_user",
        /// As the holder of the key that signed the request.
        KeyHolder = "key_holder",
    }
}

/// Who does something by hand.
#[derive(Clone, Debug)]
pub struct Person {
    name: String,
    known_by: KnownBy,
}

impl Person {
    /// The person whom a command names.
    pub fn typed(name: &str) -> Person {
        Person { name: name.trim().to_owned(), known_by: KnownBy::Typed }
    }

    /// The person who is logged in under that account of the operating system.
    pub fn system_user(account: &str) -> Person {
        Person { name: account.to_owned(), known_by: KnownBy::SystemUser }
    }

    /// The holder of a partner's key.
    pub fn key_holder(holder: &str) -> Person {
        Person { name: holder.to_owned(), known_by: KnownBy::KeyHolder }
    }

    /// The name, as it is recorded.
    pub fn name(&self) -> &str {
        &self.name
    }
}

words! {
    /// What people do by hand.
    pub enum Action {
        HouseOpened = "house_opened",
        DayEnded = "day_ended",
        FunderOpened = "funder_opened",
        ReserveTermsSet = "reserve_terms_set",
        ReserveOrderNoted = "reserve_order_noted",
        ReserveOrderBooked = "reserve_order_booked",
        ReserveOrderRefused = "reserve_order_refused",
        ProductPublished = "product_published",
        ProductWithdrawn = "product_withdrawn",
        DraftSubmitted = "draft_submitted",
        DraftEdited = "draft_edited",
        DraftApproved = "draft_approved",
        AccessChanged = "access_changed",
        MerchantAdded = "merchant_added",
        MerchantDecided = "merchant_decided",
        AccountStated = "account_stated",
        AccountChanged = "account_changed",
        AgreementStated = "agreement_stated",
        AgreementChanged = "agreement_changed",
        LinkSet = "link_set",
        StaffHired = "staff_hired",
        StaffRemoved = "staff_removed",
        NotifyAddressSet = "notify_address_set",
        ApplicationDecided = "application_decided",
        LineChanged = "line_changed",
        MobileChanged = "mobile_changed",
        PersonErased = "person_erased",
        TransferRecorded = "transfer_recorded",
        TakingBackProposed = "taking_back_proposed",
        TransferKept = "transfer_kept",
        TransferTakenBack = "transfer_taken_back",
        ClaimAsked = "claim_asked",
        ClaimPaymentStated = "claim_payment_stated",
        ClaimPaid = "claim_paid",
        ClaimWithdrawn = "claim_withdrawn",
        ClaimTakingBackStated = "claim_taking_back_stated",
        ClaimTakenBack = "claim_taken_back",
        BreakTaken = "break_taken",
        CorrectionProposed = "correction_proposed",
        BreakCorrected = "break_corrected",
        BreakDismissed = "break_dismissed",
        PayoutRetried = "payout_retried",
        PayoutEndingStated = "payout_ending_stated",
        PayoutSettled = "payout_settled",
        PayoutsHeld = "payouts_held",
        ReleaseStated = "release_stated",
        PayoutsReleased = "payouts_released",
        JobRetried = "job_retried",
        DeliveryChanged = "delivery_changed",
        TemplateSaved = "template_saved",
    }
}

impl Action {
    /// The kind of object that it is done to.
    pub const fn object_kind(self) -> &'static str {
        match self {
            Action::HouseOpened | Action::DayEnded => "business_day",
            Action::FunderOpened | Action::ReserveTermsSet | Action::TemplateSaved => "funder",
            Action::ReserveOrderNoted | Action::ReserveOrderBooked | Action::ReserveOrderRefused => "reserve_order",
            Action::ProductPublished | Action::ProductWithdrawn => "product",
            Action::DraftSubmitted | Action::DraftEdited | Action::DraftApproved => "product_draft",
            // Its id is the name under which the partner calls us, or is called.
            Action::AccessChanged | Action::DeliveryChanged => "partner",
            Action::MerchantAdded
            | Action::MerchantDecided
            | Action::AccountStated
            | Action::AccountChanged
            | Action::AgreementStated
            | Action::AgreementChanged
            | Action::LinkSet
            | Action::StaffHired
            | Action::StaffRemoved
            | Action::NotifyAddressSet
            | Action::PayoutsHeld
            | Action::ReleaseStated
            | Action::PayoutsReleased => "merchant",
            Action::ApplicationDecided => "application",
            Action::LineChanged => "line",
            Action::MobileChanged | Action::PersonErased => "borrower",
            Action::TransferRecorded
            | Action::TakingBackProposed
            | Action::TransferKept
            | Action::TransferTakenBack => "repayment",
            Action::BreakTaken | Action::CorrectionProposed | Action::BreakCorrected | Action::BreakDismissed => {
                "break"
            }
            Action::ClaimAsked
            | Action::ClaimPaymentStated
            | Action::ClaimPaid
            | Action::ClaimWithdrawn
            | Action::ClaimTakingBackStated
            | Action::ClaimTakenBack => "claim",
            Action::PayoutRetried | Action::PayoutEndingStated | Action::PayoutSettled => "payout",
            Action::JobRetried => "job",
        }
    }
}

/// What somebody does to which object.
#[derive(Clone, Debug)]
pub struct Act {
    action: Action,
    object_id: String,
    detail: Value,
}

impl Act {
    /// `detail` holds only ids, figures and words of ours. Entries stay for ever, so there is no personal data in it, and
    /// nothing that somebody wrote in their own words (a reason, a bank's reference).
    pub fn new(action: Action, object_id: impl Display, detail: Value) -> Act {
        Act { action, object_id: object_id.to_string(), detail }
    }
}

/// Stands for a text in an entry: the SHA-256 of its bytes, in hexadecimal.
pub fn fingerprint(text: &str) -> String {
    hex_encode(&Sha256::digest(text.as_bytes()))
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub entry_no: i64,
    pub done_at: DateTime<Utc>,
    pub done_by: String,
    /// A [`KnownBy`]. It is read as text, so that an entry with a word that does not belong there is still read and found.
    pub known_by: String,
    /// An [`Action`].
    pub action: String,
    pub object_kind: String,
    pub object_id: String,
    /// JSON, as it was written.
    pub detail: String,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

impl Entry {
    /// The text that is hashed: a JSON array, without spaces, of all that the entry says and of the hash before it.
    pub fn text(&self) -> String {
        json!([
            self.entry_no,
            self.done_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            self.done_by,
            self.known_by,
            self.action,
            self.object_kind,
            self.object_id,
            self.detail,
            hex_encode(&self.previous_hash),
        ])
        .to_string()
    }

    fn hash_of_text(&self) -> Vec<u8> {
        Sha256::digest(self.text().as_bytes()).to_vec()
    }
}

/// A place in the chain. Its hash stands for everything up to there: somebody who keeps it elsewhere can tell later whether
/// that is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// 0 before the first entry.
    pub entry_no: i64,
    pub hash: Vec<u8>,
}

/// Where a trail is not a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("entry {0} is missing")]
    Missing(i64),
    #[error("entry {0} does not bear the hash of the entry before it")]
    Detached(i64),
    #[error("entry {0} is not what its hash was made of")]
    Changed(i64),
    #[error("entry {0} is the last one, and another head was remembered")]
    OtherHead(i64),
}

impl Link {
    /// Before the first entry.
    pub fn beginning() -> Link {
        Link { entry_no: 0, hash: vec![0; HASH_BYTES] }
    }

    /// The entry that comes next.
    pub fn next(&self, person: &Person, act: Act, done_at: DateTime<Utc>) -> Entry {
        let Act { action, object_id, detail } = act;
        let entry = Entry {
            entry_no: self.entry_no + 1,
            // The database stores microseconds.
            done_at: done_at.trunc_subsecs(6),
            done_by: person.name.clone(),
            known_by: person.known_by.name().to_owned(),
            action: action.name().to_owned(),
            object_kind: action.object_kind().to_owned(),
            object_id,
            detail: detail.to_string(),
            previous_hash: self.hash.clone(),
            hash: Vec::new(),
        };
        Entry { hash: entry.hash_of_text(), ..entry }
    }

    /// The place of `entry`, if it is the one that comes next.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn accept(&self, entry: &Entry) -> Result<Link, Misfit> {
        let entry_no = self.entry_no + 1;
        if entry.entry_no != entry_no {
            return Err(Misfit::Missing(entry_no));
        }
        if entry.previous_hash != self.hash {
            return Err(Misfit::Detached(entry_no));
        }
        if entry.hash != entry.hash_of_text() {
            return Err(Misfit::Changed(entry_no));
        }
        Ok(Link { entry_no, hash: entry.hash.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the two entries of [`two`], worked out apart from this program.
    const FIRST: &str = "6a79df8d210181adea01f1be60b013f8f8d76857b4dceccae2a212cae0ee1cea";
    const SECOND: &str = "2faee060bbe36dd78ef6c89aa5b3dd55a710fa7667e5881ca188fe9f132b354c";

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn two() -> [Entry; 2] {
        let retried = Act::new(Action::PayoutRetried, "pay_1", json!({ "attempt_no": 2 }));
        let first = Link::beginning().next(&Person::typed(" Li Na "), retried, at("2026-03-02T10:00:00+08:00"));
        let after = Link::beginning().accept(&first).unwrap();
        let retried = Act::new(Action::JobRetried, "job_1", json!({}));
        // Finer than it is kept.
        let second = after.next(&Person::system_user("ops"), retried, at("2026-03-02T10:00:00.123456789+08:00"));
        [first, second]
    }

    /// The first misfit of a trail, from its beginning.
    fn walk(entries: &[Entry]) -> Result<Link, Misfit> {
        entries.iter().try_fold(Link::beginning(), |link, entry| link.accept(entry))
    }

    #[test]
    fn an_entry_is_hashed_as_the_document_says() {
        let [first, second] = two();
        let zeros = "0".repeat(64);
        assert_eq!(
            first.text(),
            format!(
                r#"[1,"2026-03-02T02:00:00.000000Z","Li Na","typed","payout_retried","payout","pay_1","{{\"attempt_no\":2}}","{zeros}"]"#
            )
        );
        assert_eq!([hex_encode(&first.hash), hex_encode(&second.hash)], [FIRST, SECOND]);
        assert_eq!(walk(&[first, second.clone()]).unwrap(), Link { entry_no: 2, hash: second.hash });
    }

    #[test]
    fn whatever_is_changed_of_an_entry_is_found() {
        let [first, second] = two();
        type Change = fn(&mut Entry);
        let changes: [Change; 8] = [
            |entry| entry.done_at += chrono::TimeDelta::microseconds(1),
            |entry| entry.done_by = "Wang Wei".to_owned(),
            |entry| entry.known_by = "key_holder".to_owned(),
            |entry| entry.action = "payout_settled".to_owned(),
            |entry| entry.object_kind = "job".to_owned(),
            |entry| entry.object_id = "pay_2".to_owned(),
            |entry| entry.detail = "{\"attempt_no\": 2}".to_owned(),
            |entry| entry.hash[31] ^= 1,
        ];
        for change in changes {
            let mut changed = first.clone();
            change(&mut changed);
            assert_eq!(walk(&[changed, second.clone()]), Err(Misfit::Changed(1)));
        }
    }

    #[test]
    fn what_is_removed_or_written_anew_is_found_where_the_chain_breaks() {
        let [first, second] = two();
        assert_eq!(walk(std::slice::from_ref(&second)), Err(Misfit::Missing(1)));
        assert_eq!(walk(&[first.clone(), Entry { entry_no: 3, ..second.clone() }]), Err(Misfit::Missing(2)));
        assert_eq!(walk(&[first.clone(), first.clone()]), Err(Misfit::Missing(2)));
        // An entry that is right in itself, in the place of the first.
        let other = Act::new(Action::PayoutRetried, "pay_2", json!({}));
        let other = Link::beginning().next(&Person::typed("Li Na"), other, first.done_at);
        assert_eq!(walk(&[other, second]), Err(Misfit::Detached(2)));
    }
}
