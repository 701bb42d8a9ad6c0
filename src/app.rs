//! The application state that every use case is handed: the database pool, the clock, the vault, partners, and settings.

use std::sync::Arc;

use axum::extract::FromRef;
use sqlx::PgPool;

use crate::access::{AddressRange, Directory};
use crate::audit::Person;
use crate::base::{Clock, WorkingCalendar};
use crate::credit::RiskHook;
use crate::day_file;
use crate::merchant::OrderDesk;
use crate::outbox::DeliverySettings;
use crate::page::Site;
use crate::partner::Partners;
use crate::product::Catalogue;
use crate::vault::Vault;

/// Cheap to clone; a node holds no other state.
#[derive(Clone)]
pub struct App {
    pub pool: PgPool,
    pub clock: Clock,
    /// Working days, on which payouts are made.
    pub calendar: WorkingCalendar,
    /// Seals and opens personal data.
    pub vault: Arc<Vault>,
    /// Published products, parsed once.
    pub catalogue: Catalogue,
    /// Opens orders that merchants' systems send, in batches.
    pub order_desk: OrderDesk,
    /// Calls the outside world.
    pub partners: Arc<Partners>,
    /// Authenticates the partners that call our API.
    pub access: Arc<Directory>,
    /// Decides on applications.
    pub risk: Arc<RiskHook>,
    /// When funders may fetch a day's files.
    pub day_files: day_file::Rules,
    /// How long things are kept that are removed by age.
    pub kept: Kept,
    /// Who may read the metrics.
    pub metrics_from: Arc<[AddressRange]>,
    /// How quickly messages go out.
    pub delivery: DeliverySettings,
    /// The public address of the pages, and what all pages name.
    pub site: Site,
    /// The operator who acts through this app; `None` when the program acts by itself, or for people on its pages.
    pub person: Option<Arc<Person>>,
}

impl App {
    /// This app for an operator: what is done with it is recorded in the audit trail under that person's name.
    pub fn by(&self, person: Person) -> App {
        App { person: Some(Arc::new(person)), ..self.clone() }
    }
}

/// The app as routers and their layers hold it. They are cloned dozens of times for each request, so they hold a pointer to it.
pub type Shared = Arc<App>;

impl FromRef<Shared> for App {
    fn from_ref(shared: &Shared) -> App {
        App::clone(shared)
    }
}

/// For how many days things are kept, beside the bytes of daily files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Calls in the interface log, since they were made.
    pub calls_days: u16,
    /// Messages to partners, since they were delivered or ended otherwise.
    pub messages_days: u16,
    /// What people were told, since the business day on which they were.
    pub notices_days: u16,
}

impl Kept {
    pub const SHIPPED: Kept = Kept { calls_days: 180, messages_days: 400, notices_days: 1_100 };
}
