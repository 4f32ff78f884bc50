//! The page on a phone.

use serde_json::Value;

use crate::visitor::{Visit, Visitor};

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

/// Counts the workers that live, and has the first one report once that memory ran out if the address asks for that.
const COUNTED_WORKERS: &str = "
    let living = 0, isShort = location.search === '?short';
    const Plain = Worker;
    window.livingWorkers = () => living;
    window.Worker = class extends Plain {
        constructor(script, options) {
            super(script, options);
            living += 1;
            if (!isShort) return;
            isShort = false;
            const report = () => this.dispatchEvent(new MessageEvent('message', { data: '\"OutOfMemory\"' }));
            let reported = false;
            this.addEventListener('message', ({ data }) => {
                if (reported || !data.includes('Loaded')) return;
                reported = true;
                report();
            });
        }
        terminate() {
            super.terminate();
            living -= 1;
        }
    };";

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_page_that_is_left_gives_its_memory_back_and_takes_it_again() {
    let visitor = Visitor::ready_for(&Visit { before: COUNTED_WORKERS, ..Visit::default() });
    visitor.arrive();
    visitor.wait_for_all_folds();
    let before = visitor.classify("I shall be right back.");
    assert!(visitor.says("livingWorkers() > 0"));
    visitor.session().run("dispatchEvent(new Event('pagehide'))", Value::Null);
    visitor.wait_until("livingWorkers() === 0");
    let asked = visitor.server.log().len();
    visitor.session().run("dispatchEvent(new Event('pageshow'))", Value::Null);
    visitor.wait_until("livingWorkers() > 0");
    visitor.classify("Did you wait for me?");
    assert_eq!(visitor.classify("I shall be right back."), before);
    let downloaded = visitor.server.log().split_off(asked);
    let is_model = |asked: &xtask::server::Asked| asked.target.ends_with(".safetensors");
    assert!(!downloaded.iter().any(is_model), "the models come from the cache");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_device_that_runs_out_of_memory_is_remembered() {
    let visitor = Visitor::ready_for(&Visit { before: COUNTED_WORKERS, ..Visit::default() });
    visitor.session().open(&format!("{}?short", visitor.url()));
    visitor.begin_loading();
    visitor.wait_for("#short-of-memory");
    visitor.wait_for_all_folds();
    visitor.classify("It works all the same.");
    let most = visitor.ask("Number(localStorage.getItem('quintet-most-for-models'))");
    assert!(most.as_f64().unwrap() > 0.0, "{most}");
    visitor.session().open(visitor.url());
    visitor.wait_for_all_folds();
    visitor.classify("And the next time, too.");
    assert!(visitor.says("!document.querySelector('#short-of-memory')"));
    visitor.click("#clear-cache");
    visitor.wait_until("localStorage.getItem('quintet-most-for-models') === null");
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
