//! The browser engines that the page is tested in.

mod abilities;
mod driver;
mod firefox;
mod group;
mod types;
mod webkit;

pub use abilities::Ability;
pub use driver::Driver;
pub use group::Group;
pub use types::{Engine, Scheme, Storage, Wishes};
