//! From a run to a bundle: `source` is what the run holds, `folder` how shards and manifest come to lie in a folder, `verify`
//! whether what lies there says what the run says. What a bundle is stands in `shared::bundle`.

pub mod folder;
pub mod source;
pub mod verify;

pub use folder::BundleFolder;
pub use source::Source;
