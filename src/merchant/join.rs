//! The draft of an application for acceptance: its steps, their fields, and the rule of each field.

use std::collections::BTreeMap;

use super::emvco;
use super::model::{AccountNumber, Category, MerchantRefusal, parse_name};
use super::staff::parse_staff_name;
use crate::base::person::{CreditCode, NumberError};
use crate::base::typed::plain_number;
use crate::error::Refusal;

/// What an applicant has typed so far, by field; each value has passed its rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft(pub BTreeMap<String, String>);

/// The fields of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStep {
    /// The company, as its business licence has it.
    Company,
    /// The settlement account and the contact person.
    Account,
    /// Everything once more, to be confirmed.
    Submit,
}

impl JoinStep {
    /// From 1.
    pub const fn number(self) -> u8 {
        match self {
            JoinStep::Company => 1,
            JoinStep::Account => 2,
            JoinStep::Submit => 3,
        }
    }

    /// The step that an address names; one cannot go to `Submit` by name.
    pub fn from_name(name: &str) -> Option<JoinStep> {
        match name {
            "company" => Some(JoinStep::Company),
            "account" => Some(JoinStep::Account),
            _ => None,
        }
    }

    /// The fields of a step, with whether they may be left empty.
    pub const fn fields(self) -> &'static [(&'static str, bool)] {
        match self {
            JoinStep::Company => &[
                ("legal_name", false),
                ("credit_code", false),
                ("category", false),
                ("latin_name", true),
                ("latin_city", true),
            ],
            JoinStep::Account => &[("account_name", false), ("account_number", false), ("contact_name", false)],
            JoinStep::Submit => &[],
        }
    }
}

/// The value of a field in its normal form.
///
/// # Errors
/// The code of what is wrong, by which the page finds its words.
pub fn read_field(name: &str, text: &str) -> Result<String, &'static str> {
    let latin = |length_max| if is_latin(text, length_max) { Ok(text.to_owned()) } else { Err("latin_name_malformed") };
    let refused = |refusal: MerchantRefusal| refusal.code();
    match name {
        "legal_name" | "account_name" => parse_name(text).map_err(refused),
        "credit_code" => {
            let plain = plain_number(text).to_ascii_uppercase();
            plain.parse::<CreditCode>().map(|code| code.as_str().to_owned()).map_err(NumberError::code)
        }
        "category" => text.parse::<Category>().map(|category| category.code().to_owned()).map_err(refused),
        "latin_name" => latin(emvco::NAME_CHARS_MAX),
        "latin_city" => latin(emvco::CITY_CHARS_MAX),
        "account_number" => {
            let number = plain_number(text).parse::<AccountNumber>();
            number.map(|account| account.reveal().to_owned()).map_err(refused)
        }
        "contact_name" => parse_staff_name(text),
        _ => Err("missing"),
    }
}

/// Whether a text is 1 to `length_max` printable ASCII characters, without blanks around them.
pub fn is_latin(text: &str, length_max: usize) -> bool {
    let is_framed = text.starts_with(' ') || text.ends_with(' ');
    (1..=length_max).contains(&text.len()) && !is_framed && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The field beside which a refusal of the whole application is shown; `None` for those shown above the form.
pub fn field_of(refusal: &MerchantRefusal) -> Option<&'static str> {
    match refusal {
        MerchantRefusal::CreditCode(_) | MerchantRefusal::AlreadyOnboarded => Some("credit_code"),
        MerchantRefusal::NameMalformed => Some("legal_name"),
        MerchantRefusal::UnknownCategory { .. } => Some("category"),
        MerchantRefusal::AccountMalformed => Some("account_number"),
        MerchantRefusal::AccountOfAnother { .. } => Some("account_name"),
        MerchantRefusal::LatinMalformed => Some("latin_name"),
        MerchantRefusal::ContactMobile(_)
        | MerchantRefusal::DiscountRateOutOfBounds
        | MerchantRefusal::CompanyCorrected
        | MerchantRefusal::UnknownMerchant
        | MerchantRefusal::NotPossibleNow { .. }
        | MerchantRefusal::ReasonMissing
        | MerchantRefusal::LinkMalformed
        | MerchantRefusal::TooManyApplications => None,
    }
}

impl Draft {
    /// What a field holds; empty where nothing was typed yet.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first step that lacks a required field, or `Submit`.
    pub fn step(&self) -> JoinStep {
        let is_filled = |step: JoinStep| {
            step.fields().iter().all(|(name, may_be_empty)| *may_be_empty || !self.value(name).is_empty())
        };
        [JoinStep::Company, JoinStep::Account].into_iter().find(|step| !is_filled(*step)).unwrap_or(JoinStep::Submit)
    }

    /// The last four digits of the account.
    pub fn account_tail(&self) -> &str {
        let number = self.value("account_number");
        number.get(number.len().saturating_sub(4)..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(fields: &[(&str, &str)]) -> Draft {
        Draft(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_applicant_stands_at_the_first_step_that_is_not_filled() {
        let company = [("legal_name", "老王"), ("credit_code", "91350100M000100Y43"), ("category", "dining")];
        let account = [("account_name", "老王"), ("account_number", "95588001234"), ("contact_name", "王")];
        assert_eq!(Draft::default().step(), JoinStep::Company);
        assert_eq!(draft(&company).step(), JoinStep::Account);
        assert_eq!(draft(&account).step(), JoinStep::Company);
        let whole = draft(&[company, account].concat());
        assert_eq!((whole.step(), whole.account_tail()), (JoinStep::Submit, "1234"));
    }

    #[test]
    fn each_field_has_its_own_rule() {
        assert_eq!(read_field("credit_code", "91350100m000100y43").as_deref(), Ok("91350100M000100Y43"));
        assert_eq!(read_field("credit_code", "９１350100 M000100Y-43").as_deref(), Ok("91350100M000100Y43"));
        assert_eq!(read_field("credit_code", "91350100M000100Y44"), Err("credit_code_check"));
        assert_eq!(read_field("category", "casino"), Err("unknown_category"));
        assert_eq!(read_field("account_number", "6222 0212 3456").as_deref(), Ok("622202123456"));
        assert_eq!(read_field("account_number", "６２２２-0212-3456").as_deref(), Ok("622202123456"));
        assert_eq!(read_field("latin_name", "老王"), Err("latin_name_malformed"));
        assert_eq!(read_field("contact_name", "😀\u{7}"), Err("staff_name_malformed"));
    }
}
