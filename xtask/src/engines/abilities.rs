//! Abilities: needs of stories that not every engine's driver can meet, and the reasons why a story is then skipped.

use super::types::Engine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// A log of every request of any part of the browser, to any host.
    NetLog,
    /// A limit on what a site may keep.
    Quota,
    /// Media features that change while the page is open: the colour scheme, reduced motion.
    Media,
    /// The tree that screen readers get.
    AccessibilityTree,
    /// Pictures of more than the window shows, with as many device pixels per pixel as are wanted.
    Pictures,
    /// Time for what other stories ask of the engine, too. It is spent in Chromium, and in an engine that is tested alone.
    Time,
}

impl Engine {
    /// The reason why a story that needs this is not played; None where it is.
    pub fn lacks(self, ability: Ability) -> Option<&'static str> {
        if self == Self::Chromium {
            return None;
        }
        let is_firefox = self == Self::Firefox;
        let reason = match ability {
            Ability::Quota | Ability::Media if is_firefox => return None,
            Ability::NetLog => "only Chromium logs the requests of all its parts",
            Ability::Quota => "its browser has no setting for how much a site may keep",
            Ability::Media => "it takes colours and motion from the desktop when it starts",
            Ability::AccessibilityTree => "only Chromium's driver tells the accessibility tree",
            Ability::Pictures => "only Chromium's driver takes pictures beyond the window",
            Ability::Time => "to save time: what it asks of the engine, other stories ask, too",
        };
        Some(reason)
    }
}
