//! A whole house in a counterfeit world whose time is moved: what scenarios, journeys and the demo live in.

pub mod house;
pub mod next_work;
pub mod next_work_store;
pub mod driver;
pub mod words;
pub mod event;
pub mod expect;
pub mod usage;
pub mod script;
pub mod stage;
pub mod books;
pub mod books_store;
pub mod play;

pub use driver::Driver;
pub use house::House;
