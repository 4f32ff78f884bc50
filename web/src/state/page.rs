//! The state of the whole page.

use super::composer::Composer;
use super::effect::Requests;
use super::explanation::Explanation;
use super::many::Many;
use super::model::Model;

/// Everything that the page shows or remembers.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub model: Model,
    pub composer: Composer,
    pub many: Many,
    pub explanation: Explanation,
    /// The sentence in the live region. Short, and never changed by a single key stroke.
    pub status: String,
    pub(super) requests: Requests,
}
