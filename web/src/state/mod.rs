//! Everything the page knows and how it changes: a pure `update(state, event)` returns the effects to
//! carry out. It uses no browser, so all of it is tested natively.
//!
//! ```text
//! visitor, pool, timer -> Event -> update -> State  -> components
//!                                         -> Effect -> effects.rs -> pool, timer -> Event ...
//! ```

mod answers;
mod batches;
mod bundle_summary;
mod composer;
mod effect;
mod event;
mod explanation;
mod gathering;
mod many;
mod meter;
mod model;
mod page;
mod selection;
mod table;
mod table_file;
mod update;

#[cfg(test)]
mod tests;

pub use answers::{Answer, Standing};
pub use bundle_summary::{BundleSummary, Card};
pub use composer::{Composer, EXAMPLES, LabelResult, Reading};
pub use effect::{Effect, Timer};
pub use event::{ComposerEvent, Event, ExplanationEvent, ManyEvent, ModelEvent};
pub use explanation::{Explanation, Word};
pub use many::{Job, Many, Reading as FileReading};
pub use meter::Meter;
pub use model::{ASK_ABOVE, ColdRows, FoldStatus, FoldsToLoad, Model, Offer, Phase, Saved};
pub use page::State;
pub use selection::{Direction, Filter, Key, Order, Selection};
pub use table::Table;
pub use table_file::parts as table_parts;
pub use update::{start, update};
