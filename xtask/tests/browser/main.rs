//! Stories: what visitors do with the page, in real browsers through WebDriver.
//!
//! `cargo xtask test` builds what they need and runs them one after the other. Each has a new browser profile and its
//! own server, so that no story knows of another. A failed story leaves `failed-STORY.png` with the other screenshots.

#![expect(clippy::unwrap_used, reason = "a test")]

mod browser;
mod complaints;
mod downloads;
mod elements;
mod net_log;
mod visitor;
mod waiting;
mod webdriver;

mod accessibility;
mod elsewhere;
mod explanation;
mod final_model;
mod first_visit;
mod hosts;
mod keyboard;
mod library;
mod long_table;
mod many_texts;
mod numbers;
mod offline;
mod phone;
mod pictures;
mod privacy;
mod rare_words;
mod reliability;
mod texts;
mod trouble;
