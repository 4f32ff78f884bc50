//! The page on a phone.

use serde_json::Value;

use crate::visitor::Visitor;

/// The labels whose bars are not wholly on the screen.
const OUT_OF_SIGHT: &str =
    "Array.from(document.querySelectorAll('#results .label')).filter(label => {
    const box = label.querySelector('.bar').getBoundingClientRect();
    return box.top < 0 || box.bottom > innerHeight;
}).map(label => label.dataset.label)";

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_answer_is_in_sight_while_one_types() {
    let visitor = Visitor::settled();
    let width = visitor.browser.nearest(390);
    // The second height is what a keyboard leaves of the first.
    for (height, text) in [(800, "I am so happy for you."), (400, "Why does nobody answer me?")] {
        visitor.resize(width, height);
        visitor.wait_until(&format!("matchMedia('(width: {width}px)').matches"));
        visitor.clear();
        visitor.session().run("scrollTo(0, 0)", Value::Null);
        visitor.session().send_keys("#text", text);
        visitor.wait_for_all_answers(text);
        visitor.wait_for_stillness();
        assert_eq!(visitor.ask(OUT_OF_SIGHT), Value::Array(Vec::new()), "at {height} pixels");
        let is_typed_in_sight =
            "document.querySelector('#text').getBoundingClientRect().bottom > 0";
        assert!(visitor.says(is_typed_in_sight), "at {height} pixels");
        visitor.picture(&format!("typing-phone-{height}"));
    }
    assert!(
        visitor.says("!document.querySelector('#suggestions').open"),
        "the answer has its place"
    );
    visitor.clear();
    visitor.wait_until("document.querySelector('#suggestions').open");
    visitor.classify("On a desk there is room for both.");
    visitor.resize(1280, 800);
    visitor.wait_until("document.querySelector('#suggestions').open");
    visitor.leave();
}

impl Visitor {
    /// Empties the text box.
    fn clear(&self) {
        self.session().run(
            "const box = document.querySelector('#text'); box.value = ''; \
             box.dispatchEvent(new Event('input', { bubbles: true }));",
            Value::Null,
        );
    }
}
