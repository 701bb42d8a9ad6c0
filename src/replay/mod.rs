//! A whole house in a counterfeit world whose time is moved: what scenarios, journeys and the demo live in.

pub mod house;
pub mod driver;

pub use driver::Driver;
pub use house::House;
