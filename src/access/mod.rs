//! Partner access: the systems that call our API, their keys, what each may do and how often.

pub mod model;
pub mod address;
pub mod strangers;
pub mod store;
pub mod history_store;
pub mod answer_store;
pub mod answers;
pub mod admission;
pub mod directory;
pub mod actions;
pub mod jobs;
pub mod api;

pub use actions::{AccessRefusal, add_key, add_partner, change_partner, revoke_key};
pub use address::AddressRange;
pub use answer_store::{FirstAnswer, Keyed};
pub use directory::{Admitted, Directory, NonceUse, PLATFORM};
pub use model::{Believed, Denial, Known, Owner, PartnerKind, Rate, Scope, is_same_holder};
pub use strangers::KeyName;
