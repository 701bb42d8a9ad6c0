//! Who a borrower is, and whether a registration is a new person or a known one.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::base::id::{BorrowerId, ConsentId};
use crate::base::person::{Mobile, ResidentId};
use crate::error::Refusal;

/// A person to be registered. The mobile was verified by a code, so it belongs to them now.
#[derive(Clone, Debug)]
pub struct Registration {
    pub name: PersonName,
    pub resident_id: ResidentId,
    pub mobile: Mobile,
}

/// A name as it stands on a resident identity card: 2 to 50 letters, middle dots and blanks between them.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(String);

/// A text that is not a name. The error does not repeat it, because it may be personal data.
#[derive(Debug, thiserror::Error)]
#[error("a name has 2 to 50 letters, and may have a middle dot or a blank between them")]
pub struct PersonNameError;

impl PersonName {
    /// The name in clear, for sealing and for partners; never for pages or logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first letter, which may be shown.
    pub fn family(&self) -> String {
        self.0.chars().take(1).collect()
    }
}

impl FromStr for PersonName {
    type Err = PersonNameError;
    fn from_str(text: &str) -> Result<PersonName, PersonNameError> {
        let text = text.trim();
        let length = text.chars().count();
        let is_separator = |letter: char| matches!(letter, '·' | ' ');
        let letters_only = text.chars().all(|letter| letter.is_alphabetic() || is_separator(letter));
        let framed = !text.starts_with(is_separator) && !text.ends_with(is_separator);
        if (2..=50).contains(&length) && letters_only && framed {
            Ok(PersonName(text.to_owned()))
        } else {
            Err(PersonNameError)
        }
    }
}

/// The family name, stars for the rest.
impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = self.0.chars();
        let first = letters.next().map(String::from).unwrap_or_default();
        f.pad(&format!("{first}{}", "*".repeat(letters.count())))
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonName({self})")
    }
}

/// A person as opened from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub borrower_id: BorrowerId,
    pub name: PersonName,
    pub mobile: Mobile,
}

/// A person's own data as their pages show it: every part masks itself when displayed.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: PersonName,
    pub resident_id: ResidentId,
    pub mobile: Mobile,
}

/// An agreement that a person signed.
#[derive(Clone, Debug)]
pub struct SignedAgreement {
    pub consent_id: ConsentId,
    /// The name of the [`super::Agreement`].
    pub kind: String,
    pub version: String,
    pub agreed_at: DateTime<Utc>,
    /// When it was taken back.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// What a registration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registering {
    /// Nobody has this ID number yet.
    New,
    /// The same person again, with nothing changed.
    Known(BorrowerId),
    /// The same person with another mobile.
    Moved(BorrowerId),
}

/// Decides on a registration: one person is one account, found by the ID number. If the name differs, the number is somebody
/// else's.
///
/// # Errors
/// `IdentityMismatch` where the ID number is registered under another name.
pub fn register(known: Option<&Person>, registration: &Registration) -> Result<Registering, BorrowerRefusal> {
    match known {
        None => Ok(Registering::New),
        Some(person) if person.name != registration.name => Err(BorrowerRefusal::IdentityMismatch),
        Some(person) if person.mobile != registration.mobile => Ok(Registering::Moved(person.borrower_id)),
        Some(person) => Ok(Registering::Known(person.borrower_id)),
    }
}

/// Why something is refused to a borrower.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BorrowerRefusal {
    #[error("this ID number is registered under another name")]
    IdentityMismatch,
    #[error("there is no such borrower")]
    BorrowerUnknown,
    #[error("the text of this agreement has changed meanwhile: please read the present one")]
    AgreementOutdated,
    #[error("an account with an open line or money owed cannot be closed")]
    StillOwing,
    #[error(
        "money is being collected, is on its way back to the card, or came by a transfer that may be taken back: the account \
         stays until that has ended"
    )]
    MoneyInTransit,
    #[error("an application has not been decided yet")]
    ApplicationOpen,
    #[error("this ID number is registered with another mobile: sign in with that one")]
    RegisteredElsewhere,
    #[error("somebody else was registered with this mobile meanwhile: sign in anew")]
    MobileTaken,
    #[error("another account has this mobile")]
    MobileOfAnother,
    #[error("the account has this mobile already")]
    MobileUnchanged,
    #[error("the PIN was set a short time ago: the mobile can be changed from {until} on")]
    PinResetLately { until: DateTime<Utc> },
}

impl Refusal for BorrowerRefusal {
    fn code(&self) -> &'static str {
        match self {
            BorrowerRefusal::IdentityMismatch => "identity_mismatch",
            BorrowerRefusal::BorrowerUnknown => "borrower_unknown",
            BorrowerRefusal::AgreementOutdated => "agreement_outdated",
            BorrowerRefusal::StillOwing => "still_owing",
            BorrowerRefusal::MoneyInTransit => "money_in_transit",
            BorrowerRefusal::ApplicationOpen => "application_undecided",
            BorrowerRefusal::RegisteredElsewhere => "registered_elsewhere",
            BorrowerRefusal::MobileTaken => "mobile_taken",
            BorrowerRefusal::MobileOfAnother => "mobile_of_another",
            BorrowerRefusal::MobileUnchanged => "mobile_unchanged",
            BorrowerRefusal::PinResetLately { .. } => "pin_reset_lately",
        }
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        if let BorrowerRefusal::PinResetLately { until } = self { Some(*until) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn registration(name: &str, mobile: &str) -> Registration {
        Registration {
            name: name.parse().unwrap(),
            resident_id: ResidentId::parse("11010519491231002X", "2026-01-05".parse().unwrap()).unwrap(),
            mobile: mobile.parse().unwrap(),
        }
    }

    fn known() -> Person {
        let Registration { name, mobile, .. } = registration("张三", "13800138000");
        Person { borrower_id: BorrowerId::mint(DateTime::UNIX_EPOCH), name, mobile }
    }

    #[test]
    fn the_same_person_again_is_the_same_account() {
        let person = known();
        let again = register(Some(&person), &registration("张三", "13800138000"));
        assert_eq!(again, Ok(Registering::Known(person.borrower_id)));
        let moved = register(Some(&person), &registration("张三", "13900139000"));
        assert_eq!(moved, Ok(Registering::Moved(person.borrower_id)));
    }

    #[test]
    fn another_name_under_the_same_id_number_is_refused() {
        let other = register(Some(&known()), &registration("李四", "13800138000"));
        assert_eq!(other, Err(BorrowerRefusal::IdentityMismatch));
    }

    #[test]
    fn a_name_is_letters_and_is_shown_masked() {
        let name: PersonName = " 买买提·艾力 ".parse().unwrap();
        assert_eq!((name.reveal(), format!("{name:?}").as_str()), ("买买提·艾力", "PersonName(买*****)"));
        for wrong in ["张", "张三1", "<b>", "·张三", "", &"长".repeat(51)] {
            assert!(wrong.parse::<PersonName>().is_err(), "{wrong}");
        }
    }
}
