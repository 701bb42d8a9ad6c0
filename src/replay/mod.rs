//! A whole house in a counterfeit world with a moved clock, in which scenarios, journeys and the demo run. [`house::House`] is the house,
//! [`driver::Driver`] does what people do in it, and [`play::play`] runs a scenario, which `script.rs` has parsed.

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
