//! What all pages share: the visit and its cookies, texts in two languages, forms, sessions, assets, and error pages. Start with
//! [`visit::visit`], the layer around every page, and [`shell::Page`], which every template gets.

pub mod words;
pub mod assets;
pub mod visit;
pub mod shell;
pub mod form;
pub mod error_page;
pub mod part;
pub mod session;
pub mod subject;
pub mod support;
pub mod site;
pub mod back;
pub mod device;
pub mod texts;
pub mod sheet;
mod session_store;

pub use form::{Form, key_or_new, known_key, new_key, unprocessable};
pub use session::{Session, SignedIn};
pub use shell::Page;
pub use site::Site;
pub use subject::SessionKind;
pub use support::Support;
pub use visit::Visit;
pub use words::{Language, Said};
