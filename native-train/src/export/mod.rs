//! From a run to a bundle: `source` is what the run holds, `folder` how shards and manifest come to lie in a folder,
//! `hot_rows` which word embeddings come first, `reference` what the run says, `verify` whether what lies in the folder
//! says the same, and `candidates` which encoding is the smallest that does nearly. What a bundle is stands in
//! `shared::bundle`.

pub mod candidates;
pub mod folder;
pub mod hot_rows;
pub mod reference;
pub mod source;
pub mod verify;

pub use folder::BundleFolder;
pub use hot_rows::HotRows;
pub use reference::Reference;
pub use source::{Models, Source};
