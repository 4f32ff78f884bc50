//! The page and the JavaScript package that run the ensemble in a browser.
//!
//! The binary `app` mounts [`app::App`], the binary `worker` runs [`worker::start`] in each web worker, and the
//! binary `quintet` is the JavaScript package. Almost everything is in this library, where it can be tested.

pub mod api;
pub mod app;
pub mod browser;
pub mod cache;
pub mod chosen_file;
pub mod components;
pub mod effects;
pub mod explained;
pub mod failure;
pub mod fragment;
pub mod http;
pub mod instead;
pub mod manifest;
pub mod models;
pub mod palette;
pub mod pool;
pub mod preference;
pub mod protocol;
pub mod source;
pub mod state;
pub mod store;
pub mod texts;
pub mod texts_file;
pub mod words;
pub mod worker;
