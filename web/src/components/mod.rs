//! What the visitor sees, one component a file. Each reads parts of the state from the store and sends
//! events; none decides anything.

mod about;
mod composer;
mod download;
mod error_panel;
mod explanation;
mod folds;
mod header;
mod many;
mod many_table;
mod results;
mod scores;
mod status;

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

use crate::palette::{self, Tone};

/// The custom properties that colour a label's elements; the stylesheet picks one by the theme.
const LIGHT: &str = "--tone-light";
const DARK: &str = "--tone-dark";

fn tone(label: usize) -> Tone {
    palette::tone(label)
}

/// 0..=1 as CSS has it.
fn css_percent(fraction: f64) -> String {
    format!("{:.2}%", fraction.clamp(0.0, 1.0) * 100.0)
}
