//! `cargo xtask bench`: our code beside a rival's, in one run.

pub mod browser;
mod contender;
pub mod cpu;
pub mod linear;
pub mod lists;
pub(crate) mod machine;
mod rows;
