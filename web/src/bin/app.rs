//! The page's entry point: puts the application into the document's body.

use leptos::mount::mount_to_body;
use web::app::App;

fn main() {
    mount_to_body(App);
}
