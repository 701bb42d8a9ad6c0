//! A merchant's statuses and the decisions that change them; its category, account number and names.

use std::str::FromStr;

use super::emvco;
use crate::base::id::MerchantId;
use crate::base::person::NumberError;
use crate::base::typed::is_one_line;
use crate::base::{BusinessDay, words};
use crate::error::{Refusal, Step};

words! {
    /// The status of a merchant. Only an active one may sell; what it sold before is settled whatever its status.
    #[derive(Hash)]
    pub enum MerchantStatus {
        /// Waits for a decision.
        Submitted = "submitted",
        Active = "active",
        Suspended = "suspended",
        Refused = "refused",
        Closed = "closed",
    }
}

/// A business day of a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantDay {
    pub merchant_id: MerchantId,
    pub day: BusinessDay,
}

/// What a person decides about a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Decision {
    Accept,
    Refuse,
    Suspend,
    Resume,
    Close,
}

impl MerchantStatus {
    /// Whether the application was ever accepted. If so, this is its company's only merchant account, even when suspended or
    /// closed.
    pub const fn is_accepted(self) -> bool {
        match self {
            MerchantStatus::Active | MerchantStatus::Suspended | MerchantStatus::Closed => true,
            MerchantStatus::Submitted | MerchantStatus::Refused => false,
        }
    }

    /// The status that a decision leads to. Deciding again what holds already is `AlreadyApplied`.
    pub fn decide(self, decision: Decision) -> Result<(MerchantStatus, Step), MerchantRefusal> {
        use MerchantStatus::{Active, Closed, Refused, Submitted, Suspended};
        match (self, decision) {
            (Submitted, Decision::Accept) | (Suspended, Decision::Resume) => Ok((Active, Step::Applied)),
            (Submitted, Decision::Refuse) => Ok((Refused, Step::Applied)),
            (Active, Decision::Suspend) => Ok((Suspended, Step::Applied)),
            (Active | Suspended, Decision::Close) => Ok((Closed, Step::Applied)),
            (Active, Decision::Accept | Decision::Resume)
            | (Refused, Decision::Refuse)
            | (Suspended, Decision::Suspend)
            | (Closed, Decision::Close) => Ok((self, Step::AlreadyApplied)),
            (Submitted, Decision::Suspend | Decision::Resume | Decision::Close)
            | (Active, Decision::Refuse)
            | (Suspended, Decision::Accept | Decision::Refuse)
            | (Refused, Decision::Accept | Decision::Suspend | Decision::Resume | Decision::Close)
            | (Closed, Decision::Accept | Decision::Refuse | Decision::Suspend | Decision::Resume) => {
                Err(MerchantRefusal::NotPossibleNow { status: self })
            }
        }
    }
}

impl FromStr for MerchantStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<MerchantStatus, String> {
        Self::from_name(text)
            .ok_or_else(|| format!("a status is one of {}", Self::ALL.map(MerchantStatus::name).join(", ")))
    }
}

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident $code:literal $mcc:literal,)*) => {
        /// What a merchant sells. Products name the categories that they may be used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Category {
            $($(#[$doc])* $name,)*
        }

        impl Category {
            pub const ALL: &[Category] = &[$(Category::$name,)*];

            /// The name in product files, in the database and in the API.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Category::$name => $code,)*
                }
            }

            /// The ISO 18245 merchant category code, for the merchant-presented payload.
            pub const fn mcc(self) -> &'static str {
                match self {
                    $(Category::$name => $mcc,)*
                }
            }
        }
    };
}

categories! {
    /// 餐饮
    Dining "dining" "5812",
    /// 超市便利
    Grocery "grocery" "5411",
    /// 百货零售
    Retail "retail" "5311",
    /// 服饰
    Fashion "fashion" "5651",
    /// 数码家电
    Electronics "electronics" "5732",
    /// 家居家装
    Home "home" "5712",
    /// 汽车服务
    Auto "auto" "7538",
    /// 医疗健康
    Medical "medical" "8099",
    /// 美容
    Beauty "beauty" "7230",
    /// 教育培训
    Education "education" "8299",
    /// 旅行住宿
    Travel "travel" "4722",
    /// 休闲娱乐
    Leisure "leisure" "7999",
    /// 生活服务
    Services "services" "7299",
}

impl FromStr for Category {
    type Err = MerchantRefusal;
    fn from_str(text: &str) -> Result<Category, MerchantRefusal> {
        let known = Category::ALL.iter().copied().find(|category| category.code() == text);
        known.ok_or_else(|| MerchantRefusal::UnknownCategory { found: text.chars().take(64).collect() })
    }
}

/// The number of a company's bank account: digits only. Banks share no check digit that could be tested.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountNumber(String);

impl AccountNumber {
    /// Shorter than any bank's numbers, and enough for the last four digits to be shown.
    pub const DIGITS_MIN: usize = 8;
    /// Longer than any bank's numbers.
    pub const DIGITS_MAX: usize = 32;

    /// The digits; for the vault and the payout channel alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The last four digits, which may be shown.
    pub fn tail(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl FromStr for AccountNumber {
    type Err = MerchantRefusal;
    fn from_str(text: &str) -> Result<AccountNumber, MerchantRefusal> {
        let digits: String = text.chars().filter(|c| *c != ' ' && *c != '-').collect();
        let fits = (Self::DIGITS_MIN..=Self::DIGITS_MAX).contains(&digits.len());
        if fits && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(AccountNumber(digits))
        } else {
            Err(MerchantRefusal::AccountMalformed)
        }
    }
}

impl std::fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountNumber(…{})", self.tail())
    }
}

/// A merchant's or an account's name: 1 to [`NAME_CHARS_MAX`] characters, on one line.
pub fn parse_name(text: &str) -> Result<String, MerchantRefusal> {
    let name = text.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX || !is_one_line(name) {
        return Err(MerchantRefusal::NameMalformed);
    }
    Ok(name.to_owned())
}

/// Checks a link to another site to which people may be sent: `https`, at most [`LINK_CHARS_MAX`] printable ASCII characters,
/// and leading where it seems to lead.
pub fn parse_link(text: &str) -> Result<&str, MerchantRefusal> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte));
    let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    // A user name before the host may look like another host: `https://bank.cn@evil.cn/` leads to evil.cn.
    let fits = text.len() <= LINK_CHARS_MAX && host.contains('.') && !host.contains('@');
    if is_plain && fits { Ok(text) } else { Err(MerchantRefusal::LinkMalformed) }
}

/// Longer than any address that somebody would print.
pub const LINK_CHARS_MAX: usize = 500;

/// The longest registered company names have about a hundred characters.
pub const NAME_CHARS_MAX: usize = 120;

/// Why a merchant is not accepted or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerchantRefusal {
    #[error("the unified social credit code is wrong: {0}")]
    CreditCode(NumberError),
    #[error("a name has 1 to {NAME_CHARS_MAX} characters")]
    NameMalformed,
    #[error("{found} is no merchant category; known are {}", category_codes())]
    UnknownCategory { found: String },
    #[error("a settlement account has {} to {} digits", AccountNumber::DIGITS_MIN, AccountNumber::DIGITS_MAX)]
    AccountMalformed,
    #[error("the settlement account belongs to {account}, but the company is {company}")]
    AccountOfAnother { account: String, company: String },
    #[error("the contact's mobile number is wrong: {0}")]
    ContactMobile(NumberError),
    #[error(
        "the name on the code has 1 to {} and the city 1 to {} printable ASCII characters, no blank first or last",
        emvco::NAME_CHARS_MAX,
        emvco::CITY_CHARS_MAX
    )]
    LatinMalformed,
    #[error("the discount rate is a fraction from 0 to 0.1")]
    DiscountRateOutOfBounds,
    #[error("the company has a merchant account already, with other particulars")]
    AlreadyOnboarded,
    #[error("the applicant has corrected the credit code meanwhile: look at the application again, and then decide")]
    CompanyCorrected,
    #[error("there is no such merchant")]
    UnknownMerchant,
    #[error("this cannot be decided about a merchant that is {}", status.name())]
    NotPossibleNow { status: MerchantStatus },
    #[error("a decision says who made it and why")]
    ReasonMissing,
    #[error("too many applications were sent by this mobile today")]
    TooManyApplications,
    #[error("a link begins with https:// and has at most {LINK_CHARS_MAX} plain characters")]
    LinkMalformed,
}

fn category_codes() -> String {
    Category::ALL.iter().map(|category| category.code()).collect::<Vec<_>>().join(", ")
}

impl Refusal for MerchantRefusal {
    fn code(&self) -> &'static str {
        match self {
            MerchantRefusal::CreditCode(_) => "credit_code_wrong",
            MerchantRefusal::NameMalformed => "name_malformed",
            MerchantRefusal::UnknownCategory { .. } => "unknown_category",
            MerchantRefusal::AccountMalformed => "settlement_account_malformed",
            MerchantRefusal::AccountOfAnother { .. } => "settlement_account_of_another",
            MerchantRefusal::ContactMobile(_) => "contact_mobile_wrong",
            MerchantRefusal::LatinMalformed => "latin_name_malformed",
            MerchantRefusal::DiscountRateOutOfBounds => "discount_rate_out_of_bounds",
            MerchantRefusal::AlreadyOnboarded => "merchant_already_onboarded",
            MerchantRefusal::CompanyCorrected => "merchant_company_corrected",
            MerchantRefusal::UnknownMerchant => "unknown_merchant",
            MerchantRefusal::NotPossibleNow { .. } => "merchant_not_possible_now",
            MerchantRefusal::ReasonMissing => "reason_missing",
            MerchantRefusal::TooManyApplications => "too_many_applications",
            MerchantRefusal::LinkMalformed => "link_malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_submitted_merchant_is_accepted_or_refused() {
        assert_eq!(MerchantStatus::Submitted.decide(Decision::Accept), Ok((MerchantStatus::Active, Step::Applied)));
        assert_eq!(MerchantStatus::Active.decide(Decision::Accept), Ok((MerchantStatus::Active, Step::AlreadyApplied)));
        assert!(MerchantStatus::Refused.decide(Decision::Accept).is_err());
        assert!(MerchantStatus::Closed.decide(Decision::Resume).is_err());
    }

    #[test]
    fn an_account_number_is_digits_and_shows_its_tail_only() {
        let account: AccountNumber = "6222 0212 3456 7890 123".parse().unwrap();
        assert_eq!(account.reveal(), "6222021234567890123");
        assert_eq!(format!("{account:?}"), "AccountNumber(…0123)");
        assert!("1234567".parse::<AccountNumber>().is_err());
        assert!("12345678x".parse::<AccountNumber>().is_err());
    }

    #[test]
    fn a_link_is_encrypted_and_leads_where_it_seems_to() {
        assert!(parse_link("https://pay.example.cn/shop?id=1").is_ok());
        for wrong in
            ["http://pay.example.cn", "https://bank.cn@evil.cn/", "javascript:alert(1)", "https://", "https://a.cn/\""]
        {
            assert_eq!(parse_link(wrong), Err(MerchantRefusal::LinkMalformed), "{wrong}");
        }
    }

    #[test]
    fn every_category_is_found_by_its_code() {
        for category in Category::ALL {
            assert_eq!(category.code().parse(), Ok(*category));
        }
        assert!("casino".parse::<Category>().is_err());
    }
}
