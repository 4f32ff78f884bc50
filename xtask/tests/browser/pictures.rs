//! Screenshots of the main states, light and dark, on a desktop and on a phone; and the README's picture.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use xtask::engines::Ability;
use xtask::server::Fault;

use crate::browser::can;
use crate::visitor::Visitor;

const SENTENCE: &str = "I can't believe they cancelled it, and nobody even told us!";

/// The time that bars and colours take to change.
const TRANSITIONS: Duration = Duration::from_millis(500);

/// Pixels below the last element of the README's picture.
const MARGIN: f64 = 28.0;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_main_states_are_photographed_in_light_and_dark_on_desk_and_phone() {
    if !can(&[Ability::Pictures]) {
        return;
    }
    let visitor = Visitor::ready();
    visitor.server.set_fault(visitor.bundle(), Fault::Throttle { bytes_per_second: 1_000_000 });
    visitor.arrive();
    visitor.wait_for("#progress");
    visitor.wait_until("document.querySelector('#progress').value > 0");
    visitor.pictures("loading");
    visitor.server.clear_fault(visitor.bundle());

    visitor.wait_for_all_folds();
    visitor.pictures("empty");

    visitor.classify(SENTENCE);
    visitor.pictures("result");

    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.pictures("explanation");

    let lines = "text\nBest birthday ever!\nI miss her so much.\nWho is there?\nHow dare you.\nIt is Tuesday.\n";
    visitor.choose_texts("day.csv", lines);
    visitor.classify_them();
    visitor.pictures("many-texts");

    visitor.session().run("document.querySelector('#about').open = true", Value::Null);
    visitor.pictures("about");
    visitor.leave();
}

/// Saves `readme-light.png` and `readme-dark.png`, which `cargo xtask docs --pictures` copies.
#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_picture_of_the_readme() {
    if !can(&[Ability::Pictures]) {
        return;
    }
    const LARGEST: usize = 200_000;
    let visitor = Visitor::settled();
    visitor.wait_for("#offline-ready");
    visitor.classify(SENTENCE);
    // Narrow enough that the text is legible in the README, wide enough for two columns.
    visitor.browser.resize(960, 900, 1.4);
    for scheme in ["light", "dark"] {
        visitor.browser.prefer("prefers-color-scheme", scheme);
        thread::sleep(TRANSITIONS);
        let bottom = visitor.ask(
            "Math.max(...['#examples', '#results'].map(selector => \
             document.querySelector(selector).getBoundingClientRect().bottom)) + scrollY",
        );
        let bytes =
            visitor.picture_of_top(&format!("readme-{scheme}"), bottom.as_f64().unwrap() + MARGIN);
        assert!(bytes <= LARGEST, "the picture in {scheme} has {bytes} bytes");
    }
    visitor.leave();
}

impl Visitor {
    fn pictures(&self, state: &str) {
        for (screen, width, height) in [("desk", 1280, 900), ("phone", 390, 844)] {
            self.resize(width, height);
            for scheme in ["light", "dark"] {
                self.browser.prefer("prefers-color-scheme", scheme);
                thread::sleep(TRANSITIONS);
                self.picture(&format!("{state}-{screen}-{scheme}"));
            }
        }
    }
}
