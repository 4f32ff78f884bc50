//! The page's entry point: puts the application into the document's body.

use std::panic::{self, PanicHookInfo};

use leptos::mount::mount_to_body;
use leptos::prelude::document;
use wasm_bindgen::JsValue;
use web::app::App;

fn main() {
    panic::set_hook(Box::new(say_so));
    mount_to_body(App);
}

/// A page that stands still without a word would be worse. The words are index.html's, as nothing of
/// the application can be relied upon now.
fn say_so(fault: &PanicHookInfo) {
    web_sys::console::error_1(&JsValue::from_str(&fault.to_string()));
    if let Some(words) = document().get_element_by_id("stopped") {
        // It cannot fail, and there would be nobody to tell.
        let _ = words.remove_attribute("hidden");
    }
}
