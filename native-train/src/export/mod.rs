//! Makes a bundle of a run: `source` reads the run, `folder` writes and publishes the bundle, `hot_rows` chooses the rows that
//! come first, `reference` has the answers of the run, `verify` compares those of the bundle, and `candidates` finds the
//! smallest encoding that is hardly worse. The format of a bundle is documented in `shared::bundle`.

pub mod candidates;
pub mod folder;
pub mod hot_rows;
pub mod reference;
mod scores;
pub mod source;
pub mod verify;

pub use folder::BundleFolder;
pub use hot_rows::HotRows;
pub use reference::Reference;
pub use source::{Models, Source};
