//! Screenshots of the main states, to be looked at: light and dark, desk and phone.

use serde_json::Value;
use xtask::server::Fault;

use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_main_states_are_photographed_in_light_and_dark_on_desk_and_phone() {
    let visitor = Visitor::ready();
    visitor.server.set_fault(visitor.bundle(), Fault::Throttle { bytes_per_second: 1_000_000 });
    visitor.arrive();
    visitor.wait_for("#progress");
    visitor.wait_until("document.querySelector('#progress').value > 0");
    visitor.pictures("loading");
    visitor.server.clear_fault(visitor.bundle());

    visitor.wait_for_all_folds();
    visitor.pictures("empty");

    visitor.classify("I can't believe they cancelled it, and nobody even told us!");
    visitor.pictures("result");

    visitor.session.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.pictures("explanation");

    let lines = "text\nBest birthday ever!\nI miss her so much.\nWho is there?\nHow dare you.\nIt is Tuesday.\n";
    visitor.choose_texts("day.csv", lines);
    visitor.classify_them();
    visitor.pictures("many-texts");

    visitor.session.run("document.querySelector('#about').open = true", Value::Null);
    visitor.pictures("about");
    visitor.leave();
}

impl Visitor {
    fn pictures(&self, state: &str) {
        for (screen, width, height) in [("desk", 1280, 900), ("phone", 390, 844)] {
            self.resize(width, height);
            for scheme in ["light", "dark"] {
                self.prefer("prefers-color-scheme", scheme);
                // Bars and colours change over some tenths of a second.
                std::thread::sleep(std::time::Duration::from_millis(500));
                self.picture(&format!("{state}-{screen}-{scheme}"));
            }
        }
    }
}
