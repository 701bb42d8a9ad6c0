//! What a partner is: its kind, whose objects it sees, its scopes and keys; and the reasons for refusing a request.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::address::AddressRange;
use crate::base::id::{FunderId, MerchantId};
use crate::base::words;
use crate::error::Refusal;
use crate::partner::SignatureError;
use crate::partner::key::{Algorithm, PublicKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type, clap::ValueEnum)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PartnerKind {
    Funder,
    Merchant,
    Risk,
}

words! {
    /// What somebody changed about access.
    pub enum AccessChange {
        PartnerAdded = "partner_added",
        KeyAdded = "key_added",
        KeyRevoked = "key_revoked",
        /// Scopes, addresses, rate, or whether it is switched off.
        GrantChanged = "grant_changed",
        PlatformKeyRotated = "platform_key_rotated",
    }
}

/// Whose objects a partner sees. All others are answered as not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Funder(FunderId),
    Merchant(MerchantId),
    Risk,
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident $text:literal $kind:ident,)*) => {
        /// What a partner may do, as it is granted and as each operation of the document names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Scope {
            $($(#[$doc])* $name,)*
        }

        impl Scope {
            pub const ALL: &[Scope] = &[$(Scope::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Scope::$name => $text,)*
                }
            }

            /// The only kind of partner that it can be granted to.
            pub fn kind(self) -> PartnerKind {
                match self {
                    $(Scope::$name => PartnerKind::$kind,)*
                }
            }
        }
    };
}

scopes! {
    ProductsRead "products:read" Funder,
    /// Check, simulate and submit versions.
    ProductsWrite "products:write" Funder,
    /// Approve and publish what another key submitted.
    ProductsApprove "products:approve" Funder,
    ApplicationsRead "applications:read" Funder,
    ApplicationsDecide "applications:decide" Funder,
    /// Lines, loans, plans, installments, bills, repayments, withholdings, refunds.
    LoansRead "loans:read" Funder,
    ReserveRead "reserve:read" Funder,
    /// Deposit notices, withdrawals, low-water marks.
    ReserveWrite "reserve:write" Funder,
    /// Confirm what another key noted.
    ReserveConfirm "reserve:confirm" Funder,
    RemittancesRead "remittances:read" Funder,
    FilesRead "files:read" Funder,
    EventsRead "events:read" Funder,
    /// Templates, pause, resume, replay.
    EventsWrite "events:write" Funder,
    OrdersRead "orders:read" Merchant,
    OrdersWrite "orders:write" Merchant,
    RefundsWrite "refunds:write" Merchant,
    SettlementsRead "settlements:read" Merchant,
    /// Where payments are notified, and notifications sent again.
    NotificationsWrite "notifications:write" Merchant,
    /// Answer an application late.
    DecisionsWrite "decisions:write" Risk,
}

impl Scope {
    pub fn of(kind: PartnerKind) -> Vec<Scope> {
        Scope::ALL.iter().copied().filter(|scope| scope.kind() == kind).collect()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Scope, String> {
        let found = Scope::ALL.iter().copied().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| {
            let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("there is no scope {text}; known are {}", known.join(", "))
        })
    }
}

/// A partner as a node caches it.
#[derive(Clone)]
pub struct Known {
    pub partner_id: Uuid,
    pub code: String,
    pub owner: Owner,
    pub scopes: Vec<Scope>,
    pub addresses: Vec<AddressRange>,
    pub rate_per_minute: i32,
    pub version: i32,
    pub is_disabled: bool,
    pub keys: HashMap<String, KnownKey>,
}

#[derive(Clone)]
pub struct KnownKey {
    pub public: PublicKey,
    pub holder: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub is_revoked: bool,
}

impl Known {
    /// The key with that serial number, if it may sign at `now`.
    pub fn key(&self, serial_no: &str, now: DateTime<Utc>) -> Option<&KnownKey> {
        let is_alive = |key: &&KnownKey| !key.is_revoked && key.expires_at.is_none_or(|expires_at| now < expires_at);
        self.keys.get(serial_no).filter(is_alive).filter(|_| !self.is_disabled)
    }

    /// An empty list allows every address.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.iter().any(|range| range.contains(address))
    }
}

/// Whether two names of key holders mean the same person, however they are written. Steps that need two people need keys of two holders.
pub fn is_same_holder(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    plain(one) == plain(other)
}

/// How much of its rate a partner has used in the present minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: i32,
    pub remaining: i32,
    /// Seconds until the next minute begins.
    pub reset_seconds: i64,
}

/// Who signed a request that is refused although its signature is right: the answer is signed, and the call is recorded as that partner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    pub partner: String,
    pub algorithm: Algorithm,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("{}", SignatureError::NonceReused)]
    NonceReused(Believed),
    #[error("the request comes from an address that is not on your list")]
    AddressNotAllowed(Believed),
    #[error("more requests than your rate allows in this minute")]
    RateExceeded(Believed, Rate),
    #[error("too many requests from your address were not believed in this minute")]
    TooManyNotBelieved { reset_seconds: i64 },
}

impl Denial {
    /// Who asked, if the signature was right.
    pub fn believed(&self) -> Option<&Believed> {
        match self {
            Denial::Signature(_) | Denial::TooManyNotBelieved { .. } => None,
            Denial::NonceReused(believed) | Denial::AddressNotAllowed(believed) | Denial::RateExceeded(believed, _) => {
                Some(believed)
            }
        }
    }

    /// Whether it counts against the address: the caller is not authenticated, calls from an address that is not allowed, or repeats a
    /// request that a partner has signed (which does not count against that partner's rate).
    pub fn counts_against_address(&self) -> bool {
        match self {
            Denial::Signature(
                SignatureError::Malformed
                | SignatureError::UnknownKey
                | SignatureError::Stale
                | SignatureError::NonceReused
                | SignatureError::Wrong,
            )
            | Denial::NonceReused(_)
            | Denial::AddressNotAllowed(_) => true,
            Denial::Signature(SignatureError::TooMany)
            | Denial::RateExceeded(..)
            | Denial::TooManyNotBelieved { .. } => false,
        }
    }
}

impl Refusal for Denial {
    fn code(&self) -> &'static str {
        match self {
            Denial::Signature(error) => error.code(),
            Denial::NonceReused(_) => SignatureError::NonceReused.code(),
            Denial::AddressNotAllowed(_) => "address_not_allowed",
            Denial::RateExceeded(..) => "rate_exceeded",
            Denial::TooManyNotBelieved { .. } => "too_many_not_believed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_the_same_however_the_name_is_written() {
        assert!(is_same_holder("Chen Wei", "chen  WEI "));
        assert!(!is_same_holder("Chen Wei", "Chen Li"));
        assert!(!is_same_holder("Chen Wei", "ChenWei"));
    }

    #[test]
    fn every_scope_is_found_by_its_text() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>(), Ok(*scope));
        }
        assert!("loans:write".parse::<Scope>().is_err());
    }
}
