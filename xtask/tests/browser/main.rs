//! What visitors do with the page, told as stories and played in a real Chromium through WebDriver.
//!
//! `cargo xtask test` builds what they need and runs them one after the other; each gets a fresh browser profile and a
//! server of its own. Failed stories leave `failed-STORY.png` beside the other screenshots.

#![expect(clippy::unwrap_used, reason = "a test")]

mod elements;
mod net_log;
mod visitor;
mod webdriver;

mod accessibility;
mod explanation;
mod first_visit;
mod hosts;
mod keyboard;
mod library;
mod many_texts;
mod numbers;
mod offline;
mod pictures;
mod privacy;
mod rare_words;
mod texts;
mod trouble;
