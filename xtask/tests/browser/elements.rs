//! The page's elements, as `web/tests/browser/ELEMENTS.md` lists them, and what they show.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::visitor::Visitor;

pub const FOLDS: usize = 5;

pub const TEXT: &str = "#text";
pub const CANCEL: &str = "#cancel";
pub const RETRY: &str = "#retry";
pub const ERROR: &str = "#error";

const ALL_READY: &str = "document.querySelectorAll('#folds [data-fold]').length === 5 && \
    Array.from(document.querySelectorAll('#folds [data-fold]'))\
    .every(fold => ['ready', 'answered'].includes(fold.dataset.state))";

/// The page's answer for a label.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub probability: f64,
    pub on: bool,
}

impl Visitor {
    /// The expression that holds while an element is visible.
    pub fn shown(selector: &str) -> String {
        format!(
            "document.querySelector({selector:?})?.checkVisibility({{visibilityProperty: true}})"
        )
    }

    pub fn sees(&self, selector: &str) -> bool {
        self.says(&Self::shown(selector))
    }

    pub fn wait_for(&self, selector: &str) {
        self.wait_until(&Self::shown(selector));
    }

    pub fn wait_until_gone(&self, selector: &str) {
        self.wait_until(&format!("!{}", Self::shown(selector)));
    }

    /// The text that an element shows.
    pub fn read(&self, selector: &str) -> String {
        let text = self.ask(&format!("document.querySelector({selector:?})?.innerText"));
        text.as_str().unwrap_or_else(|| panic!("no {selector}")).trim().to_owned()
    }

    /// Replaces the content of the text box.
    pub fn write(&self, text: &str) {
        self.session().run(
            "const box = document.querySelector('#text'); box.focus(); box.select();",
            Value::Null,
        );
        self.browser.insert(text);
    }

    /// Replaces the text and returns the answers of all five folds.
    pub fn classify(&self, text: &str) -> BTreeMap<String, Answer> {
        self.write(text);
        self.wait_for_all_answers(text);
        self.answers()
    }

    /// Waits until the page knows its models, and starts the download if it asks.
    pub fn begin_loading(&self) {
        self.wait_until(
            "!['manifest', undefined].includes(document.querySelector('#download')?.dataset.phase)",
        );
        if self.sees("#start") {
            self.click("#start");
        }
    }

    pub fn wait_for_all_folds(&self) {
        self.wait_until(ALL_READY);
    }

    /// Waits until all folds have answered about the text, which is in the box.
    pub fn wait_for_all_answers(&self, text: &str) {
        self.wait_for_answers(FOLDS, "complete", text);
    }

    /// Waits until this many folds have answered about the text and the others have not.
    pub fn wait_for_first_answers(&self, folds: usize, text: &str) {
        self.wait_for_answers(folds, "partial", text);
    }

    fn wait_for_answers(&self, folds: usize, state: &str, text: &str) {
        self.wait_until(&format!(
            "document.querySelector('#text')?.value === {} && \
             document.querySelector('#results').dataset.state === {state:?} && \
             document.querySelector('#results').dataset.answered === '{folds}'",
            Value::from(text)
        ));
    }

    pub fn answers(&self) -> BTreeMap<String, Answer> {
        let rows = self.ask(
            "Array.from(document.querySelectorAll('#results [data-label]'), row => \
             [row.dataset.label, row.dataset.probability, row.dataset.on])",
        );
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let field = |place: usize| row[place].as_str().unwrap();
                let answer =
                    Answer { probability: field(1).parse().unwrap(), on: field(2) == "true" };
                (field(0).to_owned(), answer)
            })
            .collect()
    }
}
