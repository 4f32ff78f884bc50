//! What `cargo xtask` is made of: a file a subcommand, and what they share. A library only so that the browser tests
//! (`tests/browser`) use the same server, folders and Chromium as the commands; no other crate imports this one.

pub mod bench;
pub mod bundlers;
pub mod chromium;
pub mod cuda;
pub mod demo;
pub mod docs;
pub mod engines;
pub mod gpu_check;
pub mod imports;
pub mod package;
pub mod page;
mod payload;
pub mod server;
pub mod setup;
pub mod shell;
pub mod site;
mod slurm;
pub mod small;
pub mod stories;
pub mod survive;
mod tensorboard;
pub mod test;
pub mod workspace;
