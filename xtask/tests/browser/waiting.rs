//! Waiting: for what the page shows, for what the host is asked, and for elements that can be clicked.
//!
//! A story reads a state once only if nothing can change it any more. Everything else is waited for, as a busy machine
//! may take seconds for what takes milliseconds here. A long limit costs nothing but the time of a failure.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::server::Asked;

use crate::visitor::Visitor;

/// The longest that a story waits for something: five small models must load on two slow cores that others use, too.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(30);

/// What WebDriver says of a script that throws.
const FAILS: &str = "javascript error";

/// What WebDriver says of a click on an element that is rendered anew, moves or is covered for a moment. Nothing was clicked.
const NOT_YET: [&str; 4] = [
    "stale element reference",
    "element click intercepted",
    "element not interactable",
    "no such element",
];

impl Visitor {
    /// Waits until the JavaScript expression holds.
    pub fn wait_until(&self, expression: &str) {
        self.wait_at_most(PATIENCE, expression);
    }

    pub fn wait_at_most(&self, patience: Duration, expression: &str) {
        let script = format!("return Boolean({expression})");
        let start = Instant::now();
        loop {
            let found = self.session().try_run(&script, Value::Null);
            if found == Ok(Value::Bool(true)) {
                return;
            }
            // An expression fails while an element that it names is not there. Other errors are the browser's end.
            let may_come = found.as_ref().err().is_none_or(|error| error.starts_with(FAILS));
            let waited = start.elapsed();
            assert!(
                may_come && waited < patience,
                "after {} s still not ({found:?}): {expression}",
                waited.as_secs()
            );
            thread::sleep(PAUSE);
        }
    }

    /// Clicks an element as soon as a visitor could: it is visible, enabled and not covered.
    pub fn click(&self, selector: &str) {
        let is_enabled = format!("!document.querySelector({selector:?}).disabled");
        self.wait_until(&format!("{} && {is_enabled}", Self::shown(selector)));
        let start = Instant::now();
        while let Err(error) = self.session().click(selector) {
            let may_come = NOT_YET.iter().any(|kind| error.starts_with(kind));
            assert!(may_come && start.elapsed() < PATIENCE, "{selector}: {error}");
            thread::sleep(PAUSE);
        }
    }

    /// Waits until all transitions have ended. What moves for ever is left out.
    pub fn wait_for_stillness(&self) {
        self.wait_until(
            "document.getAnimations().every(motion => motion.playState !== 'running' || \
             motion.effect.getComputedTiming().endTime === Infinity)",
        );
    }

    /// Waits until the host has answered a request of this kind.
    pub fn wait_until_asked(&self, what: &str, is_it: impl Fn(&Asked) -> bool) {
        let start = Instant::now();
        while !self.server.log().iter().any(&is_it) {
            assert!(start.elapsed() < PATIENCE, "the host was never asked for {what}");
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the host has been asked for nothing for a while; returns the number of requests until then.
    pub fn wait_for_silence(&self, silence: Duration) -> usize {
        let start = Instant::now();
        let mut requests = self.server.log().len();
        let mut since = Instant::now();
        while since.elapsed() < silence {
            assert!(start.elapsed() < PATIENCE, "the host is asked for more and more");
            thread::sleep(PAUSE);
            let now = self.server.log().len();
            if now != requests {
                (requests, since) = (now, Instant::now());
            }
        }
        requests
    }
}
