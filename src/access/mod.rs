//! Access of partners' systems to our API: their keys and scopes, from which addresses and how often they may call; and our own signing
//! keys. Start with [`model`]; a request is authenticated by [`directory::Directory::admit`], and access is changed in [`actions`].

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
