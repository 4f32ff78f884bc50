//! The page's entry point: mounts the application in the document's body.

use std::panic::{self, PanicHookInfo};

use leptos::mount::mount_to_body;
use leptos::prelude::document;
use wasm_bindgen::JsValue;
use web::app::App;

fn main() {
    panic::set_hook(Box::new(report_panic));
    mount_to_body(App);
}

/// Shows the visitor that the page has stopped. The text is in index.html, as the application no longer works.
fn report_panic(panic: &PanicHookInfo) {
    web_sys::console::error_1(&JsValue::from_str(&panic.to_string()));
    if let Some(notice) = document().get_element_by_id("stopped") {
        // This cannot fail, and nobody could be told.
        let _ = notice.remove_attribute("hidden");
    }
}
