//! Typed ids: a UUIDv7 inside, a prefix outside (`loan_0197…`).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use uuid::{Builder, NoContext, Timestamp, Uuid};

/// A text that is not an id of the expected kind.
#[derive(Debug, thiserror::Error)]
#[error("expected an id that begins with {prefix}_, found {found:?}")]
pub struct IdError {
    pub prefix: &'static str,
    pub found: String,
}

/// A new UUIDv7 for the instant `now`; the random part is the operating system's. For rows without an id type of their own.
pub fn mint(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

/// A UUIDv7 that depends only on its arguments: the instant `at`, the id `of` what a thing belongs to, and the thing's `name`
/// within that. For things that partners know by their id: if the database is restored to an earlier state, the thing is made
/// again under the same id, and the partner sees that it is the same.
pub fn derive(at: DateTime<Utc>, of: Uuid, name: &str) -> Uuid {
    let [bytes @ .., _, _, _, _, _, _] = Uuid::new_v5(&of, name.as_bytes()).into_bytes();
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// As [`derive`], for the instant at which `of` was minted.
pub fn derive_beside(of: Uuid, name: &str) -> Uuid {
    let (seconds, nanoseconds) = of.get_timestamp().map_or((0, 0), |minted| minted.to_unix());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    derive(DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default(), of, name)
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|hex| hex.len() == 32)
        .and_then(|hex| Uuid::try_parse(hex).ok())
        .ok_or_else(|| IdError { prefix, found: text.chars().take(64).collect() })
}

/// How the API's document shows an id.
fn schema_of(prefix: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^{prefix}_[0-9a-f]{{32}}$")))
        .examples([format!("{prefix}_0197f3c2a4b07cc39b1c2d3e4f506172")]);
    Schema::from(object).into()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            pub fn mint(now: DateTime<Utc>) -> $name {
                $name(mint(now))
            }

            /// `count` ids of one instant in ascending order, for rows that are written together: unsorted, their random parts
            /// would scatter the rows over the index.
            pub fn mint_ascending(now: DateTime<Utc>, count: usize) -> Vec<$name> {
                let mut ids: Vec<$name> = (0..count).map(|_| $name::mint(now)).collect();
                ids.sort_unstable();
                ids
            }

            pub const fn from_uuid(uuid: Uuid) -> $name {
                $name(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<$name, IdError> {
                parse($prefix, text).map($name)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema_of($prefix)
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    FunderId "fun",
    ProductId "prod",
    MerchantId "mer",
    CodeId "code",
    StaffId "staff",
    BorrowerId "bor",
    CardId "card",
    ConsentId "cons",
    ApplicationId "app",
    LineId "line",
    ReserveOrderId "ro",
    ProductDraftId "draft",
    PurchaseId "pur",
    LoanId "loan",
    ClaimId "claim",
    RefundId "ref",
    WithholdingId "wh",
    RepaymentId "rep",
    SettlementId "set",
    PayoutId "pay",
    RemittanceId "rem",
    BreakId "brk",
    JobId "job",
    /// One HTTP request, in the log and in the header `x-request-id`.
    RequestId "req",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_outside_form() {
        let id = LoanId::mint(DateTime::from_timestamp(1_767_225_600, 0).unwrap());
        assert_eq!(id.to_string().parse::<LoanId>().unwrap(), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = PurchaseId::mint(DateTime::from_timestamp(1_767_225_600, 0).unwrap());
        assert!(id.to_string().parse::<LoanId>().is_err());
    }
}
