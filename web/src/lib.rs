//! Quintet's page: shows what the visitor's browser makes of a sentence.
//!
//! The binary `app` mounts [`app::App`]; everything that can be tested without a browser lives here.

pub mod app;
