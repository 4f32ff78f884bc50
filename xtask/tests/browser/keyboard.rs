//! The whole page without a mouse.

use crate::elements::TEXT;
use crate::visitor::Visitor;
use crate::webdriver::keys::{ENTER, SHIFT, TAB};

impl Visitor {
    /// Presses Tab until the element has the focus.
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.says(&format!("document.activeElement.matches({selector:?})")) {
                return;
            }
            self.session().press(&[TAB]);
        }
        panic!("Tab never reaches {selector}");
    }
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn everything_can_be_done_by_keyboard_alone() {
    let visitor = Visitor::settled();
    visitor.tab_to(TEXT);
    visitor.browser.insert("I was so scared last night.");
    visitor.wait_for_all_answers("I was so scared last night.");

    // Tab leaves the text box, and Shift+Tab returns to it.
    visitor.session().press(&[TAB]);
    assert!(!visitor.says("document.activeElement.matches('#text')"));
    visitor.session().press(&[SHIFT, TAB]);
    assert!(visitor.says("document.activeElement.matches('#text')"));

    visitor.tab_to("#explain");
    visitor.session().press(&[ENTER]);
    visitor.wait_for("#explanation[data-state=done]");

    visitor.tab_to("#many > summary");
    visitor.session().press(&[ENTER]);
    visitor.tab_to("#many-text");
    visitor.browser.insert("One.\nTwo.");
    visitor.tab_to("#many-run");
    visitor.session().press(&[ENTER]);
    visitor.wait_until("document.querySelector('#many-told')?.dataset.state === 'done'");
    visitor.tab_to("#many-download");

    visitor.tab_to("#about > summary");
    visitor.session().press(&[ENTER]);
    visitor.wait_until("document.querySelector('#about').open");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_focus_is_visible_and_moves_down_the_page() {
    let visitor = Visitor::settled();
    // Nothing moves down any more when this has come.
    visitor.wait_for("#offline-ready");
    visitor.classify("Round and round.");
    // Tab continues from the last focused element, even after that was removed.
    visitor.session().run(
        "const start = document.createElement('span'); start.tabIndex = -1; \
         document.body.prepend(start); start.focus(); start.remove();",
        serde_json::Value::Null,
    );
    let mut last_top = f64::MIN;
    let mut steps = 0;
    loop {
        visitor.session().press(&[TAB]);
        // After the last element comes none, or the first again.
        let is_over = "document.activeElement === document.body || \
            document.activeElement === (window.firstFocused ??= document.activeElement)";
        if visitor.says(is_over) && steps > 0 {
            break;
        }
        steps += 1;
        assert!(steps < 100, "Tab never comes to the end of the page");
        let is_marked = visitor.says(
            "(style => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 \
              || style.boxShadow !== 'none')(getComputedStyle(document.activeElement))",
        );
        let name = visitor.ask("document.activeElement.outerHTML.slice(0, 120)");
        assert!(is_marked, "no mark on {name}");
        let top = visitor.ask("document.activeElement.getBoundingClientRect().top + scrollY");
        let top = top.as_f64().unwrap();
        // Elements of a line may begin at different heights.
        assert!(top >= last_top - 120.0, "{name} lies above what had the focus before it");
        last_top = top;
    }
    assert!(steps >= 5, "only {steps} elements take the focus");
    visitor.leave();
}
