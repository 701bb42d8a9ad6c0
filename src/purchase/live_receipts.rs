//! Tells open receipts pages what comes in, whichever node authorised it. Each node has one reader for all merchants with a page
//! open on it.
//!
//! Nothing here needs to be stored: a page that connects again, to this node or another, says which number it saw last.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::receipt::{DaySums, ToldNumbers};
use super::receipt_actions::{self, Numbered};
use super::sale_actions;
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::MerchantId;

/// How often notices are read while a page is open: a till that is told within a second does not feel late. One statement for
/// all merchants, so that a thousand open pages cost the database little more than one.
const READ_EVERY: Duration = Duration::from_millis(500);
/// Pages that one node keeps open; each costs a connection and a few kilobytes.
const OPEN_MAX: usize = 2_000;
/// Pages that one merchant keeps open at one node: more than it has tills.
const OPEN_OF_MERCHANT_MAX: usize = 50;
/// News that a slow page may lag behind before it is told to load anew.
const LAG_MAX: usize = 64;

/// What has come in since the last time.
#[derive(Debug)]
pub struct News {
    pub receipts: Numbered,
    pub sums: DaySums,
}

type Channel = broadcast::Sender<Arc<News>>;

/// Cheap to clone; one for the node.
#[derive(Clone)]
pub struct LiveReceipts {
    app: Arc<App>,
    /// The merchants with a page open here; while there is one, a task reads for them all.
    merchants: Arc<Mutex<HashMap<MerchantId, Channel>>>,
    open: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

/// One open page.
pub struct Listener {
    pub news: broadcast::Receiver<Arc<News>>,
    /// Becomes true when the node stops.
    pub closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl LiveReceipts {
    pub fn new(app: App) -> LiveReceipts {
        let (merchants, open) = (Arc::default(), Arc::new(Semaphore::new(OPEN_MAX)));
        LiveReceipts { app: Arc::new(app), merchants, open, closing: watch::Sender::new(false) }
    }

    /// Opens a page of a merchant; `None` when too many are open. News may repeat what the page knows already.
    pub fn listen(&self, merchant_id: MerchantId) -> Option<Listener> {
        let permit = self.open.clone().try_acquire_owned().ok()?;
        let mut merchants = self.merchants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = merchants.is_empty();
        let channel = merchants.entry(merchant_id).or_insert_with(|| Channel::new(LAG_MAX));
        if channel.receiver_count() >= OPEN_OF_MERCHANT_MAX {
            return None;
        }
        let news = channel.subscribe();
        if is_first {
            tokio::spawn(self.clone().read());
        }
        Some(Listener { news, closing: self.closing.subscribe(), _permit: permit })
    }

    /// Ends every page, so that a node that stops need not wait for them.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Reads and tells until no page is open any more.
    async fn read(self) {
        let mut told = HashMap::new();
        let mut day = None;
        loop {
            let open = self.open_merchants();
            if open.is_empty() {
                return;
            }
            told.retain(|merchant_id, _| open.contains_key(merchant_id));
            match self.tell(&open, &mut told, &mut day).await {
                Ok(()) => {}
                // The next read gets everything: nothing is lost but time.
                Err(error) => tracing::warn!("receipts cannot be read: {error:#}"),
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    async fn tell(
        &self,
        open: &HashMap<MerchantId, Channel>,
        told: &mut HashMap<MerchantId, ToldNumbers>,
        day: &mut Option<BusinessDay>,
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut wanted = Vec::with_capacity(open.len());
        for merchant_id in open.keys().copied() {
            let told = match told.entry(merchant_id) {
                Entry::Occupied(told) => told.into_mut(),
                Entry::Vacant(none) => {
                    none.insert(ToldNumbers::up_to(receipt_actions::beginning(&self.app, merchant_id).await?))
                }
            };
            told.settle(now);
            wanted.push((merchant_id, told.floor()));
        }
        let knows = |merchant_id, number| told.get(&merchant_id).is_some_and(|told| told.knows(number));
        let today = sale_actions::today(&self.app).await?;
        let is_new_day = day.is_some_and(|day| day != today);
        let mut fresh = receipt_actions::fresh(&self.app, wanted, today, knows).await?;
        if is_new_day {
            // Every open page is told, also of merchants that have sold nothing yet.
            for merchant_id in open.keys() {
                fresh.entry(*merchant_id).or_default();
            }
        }
        for (merchant_id, rows) in fresh {
            let numbers: Vec<i64> = rows.iter().map(|row| row.notice_no).collect();
            // On a new day, all receipts of the day are told.
            let (receipts, sums) = if is_new_day {
                receipt_actions::begun(&self.app, merchant_id).await?
            } else {
                receipt_actions::load_news(&self.app, merchant_id, rows).await?
            };
            // Noted only after everything was read, so that a failure loses nothing.
            if let Some(told) = told.get_mut(&merchant_id) {
                numbers.into_iter().for_each(|number| told.note(number, now));
            }
            if let Some(channel) = open.get(&merchant_id) {
                // It fails if the last page has closed meanwhile, which is no error.
                channel.send(Arc::new(News { receipts, sums })).ok();
            }
        }
        *day = Some(today);
        Ok(())
    }

    /// Forgets merchants without a page, under the lock under which pages open; all of them when the node stops.
    fn open_merchants(&self) -> HashMap<MerchantId, Channel> {
        let mut merchants = self.merchants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_closing = *self.closing.borrow();
        merchants.retain(|_, channel| !is_closing && channel.receiver_count() > 0);
        merchants.clone()
    }
}
