//! The commands: each reads its inputs, calls the crate and prints the answer.

pub mod audit;
pub mod cluster;
pub mod compare;
pub mod distil;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod gather;
pub mod inspect;
pub mod predict;
pub mod report;
pub mod shrink;
mod stdout;
pub mod train;
mod trained_run;
