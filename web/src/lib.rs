//! Quintet's page: shows what the visitor's browser makes of a sentence.
//!
//! The binary `app` mounts [`app::App`]; the binary `worker` runs [`worker::start`], once a fold; the
//! binary `quintet` is the JavaScript package. Everything that can be tested without a browser lives here.

pub mod api;
pub mod app;
pub mod browser;
pub mod cache;
pub mod components;
pub mod effects;
pub mod failure;
pub mod fragment;
pub mod http;
pub mod manifest;
pub mod palette;
pub mod pool;
pub mod protocol;
pub mod state;
pub mod store;
pub mod texts_file;
pub mod words;
pub mod worker;
