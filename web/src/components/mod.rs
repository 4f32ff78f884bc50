//! The parts of the page, one file each. They read parts of the state and send events, and decide nothing.

mod about;
mod composer;
mod css;
mod download;
mod error_panel;
mod explanation;
mod folds;
mod header;
mod in_sight;
mod many;
mod many_rows;
mod many_table;
mod results;
mod scores;
mod status;
mod suggestions;
mod window;

pub use about::About;
pub use composer::Composer;
pub use download::Download;
pub use error_panel::ErrorPanel;
pub use explanation::ExplanationPanel;
pub use folds::Folds;
pub use header::Header;
pub use many::ManyTexts;
pub use results::Results;
pub use status::Status;
pub use suggestions::Suggestions;
