//! Funders, and the reserve that each has prefunded. Start with `reserve` for what a reserve is and how it moves; `slice` lets
//! purchases use it without locking it, and `order` is how a funder's system moves money in and out.

pub mod reserve;
pub mod low_water;
pub mod forecast;
pub mod posting;
mod notices;
pub mod store;
pub mod slice;
mod slice_store;
mod slice_actions;
pub mod actions;
pub mod close;
pub mod jobs;
pub mod order;
pub mod order_store;
pub mod order_actions;
pub mod api_store;
pub mod api;

pub use actions::{change_reserve_terms, deposit, open_funder, set_reserve_terms, withdraw};
pub use close::close_reserves;
pub use jobs::watch_soon;
pub use reserve::{Reserve, ReserveEntryKind, ReserveRefusal};
pub use slice_actions::{book_slices, lease_slices, lock_reserve};
pub use store::{find_code, find_funder_by_code, find_name, save_reserve};
