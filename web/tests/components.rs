//! The components in a real browser, over a store without models: the tests send the events and the answers.
//!
//! Run by `cargo xtask test --only components`.
#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use leptos::mount::mount_to;
use leptos::prelude::*;
use shared::bundle::{Interval, LabelScores, Provenance, ReliabilityBin, Scores, TextAnswer};
use shared::quant::Format;
use shared::{LabelSet, Thresholds};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web::app::Page;
use web::failure::Failure;
use web::state::{BundleSummary, Card, Effect, Event, FoldsToLoad, ModelEvent, State, Timer};
use web::store::Store;
use web_sys::{HtmlElement, HtmlInputElement, HtmlTextAreaElement};

wasm_bindgen_test_configure!(run_in_browser);

/// A mounted page and the effects that it asked for.
struct Mounted {
    root: HtmlElement,
    store: Store,
    effects: Rc<RefCell<Vec<Effect>>>,
}

impl Mounted {
    fn new() -> Self {
        let document = document();
        // One page at a time, as ids are unique in a document.
        if let Some(before) = document.get_element_by_id("root") {
            before.remove();
        }
        let root: HtmlElement = document.create_element("div").unwrap().unchecked_into();
        root.set_id("root");
        document.body().unwrap().append_child(&root).unwrap();
        let effects = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&effects);
        let made = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&made);
        mount_to(root.clone(), move || {
            let store =
                Store::new(State::default(), move |_, effect| seen.borrow_mut().push(effect));
            *keep.borrow_mut() = Some(store);
            view! { <Page store /> }
        })
        .forget();
        let store = made.borrow().unwrap();
        Self { root, store, effects }
    }

    /// A page whose models are ready.
    async fn ready(folds: usize) -> Self {
        let page = Self::new();
        page.model(ModelEvent::ManifestArrived {
            bundle: Box::new(bundle(folds)),
            to_download: 0,
            then: None,
        });
        page.model(ModelEvent::ShellKept);
        for fold in 0..folds {
            page.model(ModelEvent::FoldReady { fold });
        }
        page.settle().await;
        page
    }

    fn model(&self, event: ModelEvent) {
        self.store.send(Event::Model(event));
    }

    /// Waits until changes of signals have reached the document.
    async fn settle(&self) {
        leptos::task::tick().await;
    }

    fn find(&self, selector: &str) -> HtmlElement {
        let found = self.root.query_selector(selector).unwrap();
        found.unwrap_or_else(|| panic!("no {selector}")).unchecked_into()
    }

    fn has(&self, selector: &str) -> bool {
        self.root.query_selector(selector).unwrap().is_some()
    }

    fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.find(selector).get_attribute(name)
    }

    fn text(&self, selector: &str) -> String {
        self.find(selector).text_content().unwrap()
    }

    async fn type_text(&self, text: &str) {
        let area: HtmlTextAreaElement = self.find("#text").unchecked_into();
        area.set_value(text);
        area.dispatch_event(&web_sys::Event::new("input").unwrap()).unwrap();
        self.end_waits(Timer::Classify).await;
    }

    async fn end_waits(&self, which: Timer) {
        let waits: Vec<u64> = self
            .effects
            .borrow()
            .iter()
            .filter_map(|effect| match *effect {
                Effect::Wait { timer, sequence, .. } if timer == which => Some(sequence),
                _ => None,
            })
            .collect();
        for sequence in waits {
            self.store.send(Event::Elapsed { timer: which, sequence });
        }
        self.settle().await;
    }

    /// A fold's answer to the newest request.
    async fn answer(&self, fold: usize, answers: &[[f32; 2]]) {
        let newest = self.effects.borrow().iter().rev().find_map(|effect| match effect {
            Effect::Classify { request, .. } => Some(*request),
            _ => None,
        });
        let answers = answers
            .iter()
            .map(|probabilities| TextAnswer {
                probabilities: probabilities.to_vec(),
                truncated: false,
            })
            .collect();
        self.store.send(Event::Answer { request: newest.unwrap(), fold, answers });
        self.settle().await;
    }

    async fn click(&self, selector: &str) {
        self.find(selector).click();
        self.settle().await;
    }
}

fn bundle(folds: usize) -> BundleSummary {
    let names = ["joy", "fear"].map(str::to_owned).to_vec();
    let per_label = |label: &String| LabelScores {
        label: label.clone(),
        support: 3,
        f1_at_half: 0.5,
        f1_tuned: 0.625,
        f1_cross_fitted: Some(0.5625),
        interval: None,
        reliability: Vec::new(),
    };
    BundleSummary {
        thresholds: Thresholds::new(vec![0.5, 0.25], 2).unwrap(),
        folds,
        max_len: 256,
        download_bytes: 2_400_000,
        final_bytes: None,
        has_cold_rows: false,
        other_site: None,
        card: Card {
            title: "A test".to_owned(),
            license: Some("MIT".to_owned()),
            encoding: Format::F32.into(),
            provenance: Provenance {
                model: "mini".to_owned(),
                seed: 42,
                run_folds: folds,
                averaged_folds: None,
                final_model: false,
                rows: 10,
                versions: BTreeMap::new(),
            },
            scores: Scores {
                rows: 10,
                split: "grouped".to_owned(),
                repeated_rows: 0,
                macro_f1_at_half: 0.5,
                macro_f1_tuned: 0.625,
                macro_f1_cross_fitted: Some(0.5625),
                macro_f1_interval: None,
                per_label: names.iter().map(per_label).collect(),
            },
            verification: None,
            final_verification: None,
        },
        labels: LabelSet::new(names).unwrap(),
    }
}

#[wasm_bindgen_test]
async fn asks_before_a_large_download() {
    let page = Mounted::new();
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "manifest");
    page.model(ModelEvent::ManifestArrived {
        bundle: Box::new(bundle(2)),
        to_download: 184_000_000,
        then: None,
    });
    page.settle().await;
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "asking");
    assert!(page.text("#download").contains("184 MB"));
    page.click("#start").await;
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "loading");
    assert!(page.effects.borrow().contains(&Effect::StartPool));
}

#[wasm_bindgen_test]
async fn shows_progress_and_can_be_cancelled_and_continued() {
    let page = Mounted::new();
    page.model(ModelEvent::ManifestArrived {
        bundle: Box::new(bundle(2)),
        to_download: 0,
        then: None,
    });
    for (received, now) in [(0, 0.0), (1_000_000, 1_000.0)] {
        page.model(ModelEvent::Progress { received, total: 2_000_000, now });
    }
    page.settle().await;
    let told = page.text("#progress-text");
    assert_eq!(told, "Loading the models: 1.0 MB of 2.0 MB, 1.0 MB/s, about a second left");
    let progress: web_sys::HtmlProgressElement = page.find("#progress").unchecked_into();
    assert_eq!((progress.value(), progress.max()), (1e6, 2e6));
    page.click("#cancel").await;
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "cancelled");
    page.click("#retry").await;
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "loading");
}

#[wasm_bindgen_test]
async fn shows_a_row_a_label_and_the_folds_that_answered() {
    let page = Mounted::ready(2).await;
    assert!(page.has("#offline-ready"));
    assert_eq!(page.attribute("#results", "data-state").unwrap(), "empty");
    page.type_text("hello").await;
    page.answer(1, &[[0.75, 0.125]]).await;
    assert_eq!(page.attribute("#results", "data-state").unwrap(), "partial");
    assert_eq!(page.attribute("[data-fold='0']", "data-state").unwrap(), "ready");
    assert_eq!(page.attribute("[data-fold='1']", "data-state").unwrap(), "answered");
    page.answer(0, &[[0.25, 0.375]]).await;
    assert_eq!(page.attribute("#results", "data-state").unwrap(), "complete");

    let row = |name: &str| {
        let get = |attribute| {
            page.attribute(&format!("#results [data-label={name}]"), attribute).unwrap()
        };
        ["data-probability", "data-low", "data-high", "data-on"].map(get)
    };
    assert_eq!(row("joy"), ["0.5", "0.25", "0.75", "true"]);
    assert_eq!(row("fear"), ["0.25", "0.125", "0.375", "true"]);
    let meter = page.find("#results [data-label=joy] [role=meter]");
    assert_eq!(meter.get_attribute("aria-valuenow").unwrap(), "0.500");
    assert!(meter.get_attribute("aria-valuetext").unwrap().contains("threshold of 50%"));
}

#[wasm_bindgen_test]
async fn one_model_answers_and_five_are_offered() {
    let page = Mounted::new();
    let mut bundle = BundleSummary { final_bytes: Some(800_000), ..bundle(5) };
    bundle.card.scores.per_label[1].reliability =
        vec![ReliabilityBin { below: 1.0, texts: 12, with_label: 3 }];
    let bundle = Box::new(bundle);
    let then = Some(FoldsToLoad { bytes: 1_600_000, chosen: None });
    page.model(ModelEvent::ManifestArrived { bundle, to_download: 800_000, then });
    page.model(ModelEvent::FoldReady { fold: 5 });
    page.type_text("hello").await;
    assert!(!page.has("#speaker"), "nobody has answered");
    page.answer(5, &[[0.75, 0.125]]).await;
    assert_eq!(page.text("#speaker"), "One model's answer.");
    assert!(page.text("#basis").contains("it has seen all of the texts"));
    assert_eq!(page.attribute("#results", "data-models").unwrap(), "final");
    assert_eq!(page.attribute("#results", "data-state").unwrap(), "complete");
    assert!(!page.has("[data-fold]"), "no marks of models that are not loaded");
    let meter = page.find("#results [data-label=joy] [role=meter]");
    assert!(meter.get_attribute("aria-valuetext").unwrap().ends_with("; one model's answer"));
    let offer = page.text("#offer");
    assert!(offer.contains("Five models together are more exact"), "{offer}");
    assert!(offer.contains("1.6 MB more to download"), "{offer}");
    page.click("#decline-folds").await;
    assert!(!page.has("#decline-folds"));
    page.click("#load-folds").await;
    assert!(!page.has("#offer"));
    assert!(page.effects.borrow().contains(&Effect::LoadFolds));
    assert_eq!(page.attribute("#download", "data-phase").unwrap(), "loading");
    for fold in 0..5 {
        assert_eq!(page.attribute("#results", "data-models").unwrap(), "final");
        page.model(ModelEvent::FoldReady { fold });
        page.answer(fold, &[[0.25, 0.25]]).await;
    }
    assert_eq!(page.attribute("#results", "data-models").unwrap(), "folds");
    assert_eq!(page.attribute("#results [data-label=joy]", "data-probability").unwrap(), "0.25");
    assert_eq!(page.text("#speaker"), "The mean of 5 models.");
    assert!(!page.text("#basis").contains("it has seen all of the texts"));
    let about = page.text("#about");
    assert!(about.contains("It is no part of the mean"), "{about}");
}

#[wasm_bindgen_test]
async fn tells_how_sure_a_probability_is_if_the_bundle_knows() {
    let page = Mounted::ready(1).await;
    page.type_text("hello").await;
    page.answer(0, &[[0.75, 0.125]]).await;
    // A bundle of an earlier version.
    for absent in [".sure", "#basis", "#honest-score", "[data-alike]", "[data-alike-on]"] {
        assert!(!page.has(absent), "{absent}");
    }

    let mut known = bundle(1);
    let scores = &mut known.card.scores;
    scores.macro_f1_interval = Some(Interval { low: 0.4375, high: 0.6875 });
    let bin = |below, texts, with_label| ReliabilityBin { below, texts, with_label };
    scores.per_label[0].reliability =
        vec![bin(0.5, 5000, 100), bin(0.75, 40, 25), bin(0.9, 40, 30), bin(1.0, 80, 72)];
    scores.per_label[1].reliability = vec![bin(1.0, 12, 3)];
    let page = Mounted::new();
    let arrived =
        ModelEvent::ManifestArrived { bundle: Box::new(known), to_download: 0, then: None };
    page.model(arrived);
    page.model(ModelEvent::FoldReady { fold: 0 });
    page.type_text("hello").await;
    assert_eq!(page.text("[data-label=joy] .sure"), "");
    let sure = async |joy: f32| {
        page.type_text(&format!("hello {joy}")).await;
        page.answer(0, &[[joy, 0.125]]).await;
        page.text("[data-label=joy] .sure")
    };
    assert_eq!(sure(0.125).await, "Of 5,000 texts given less than 50%, 2% had this label");
    assert_eq!(sure(0.75).await, "Of 40 texts given 75% to 90%, 75% had this label");
    assert_eq!(page.attribute("#results [data-label=joy]", "data-alike").unwrap(), "40");
    assert_eq!(page.attribute("#results [data-label=joy]", "data-alike-on").unwrap(), "30");
    assert_eq!(sure(1.0).await, "Of 80 texts given 90% or more, 90% had this label");
    assert_eq!(page.text("[data-label=fear] .sure"), "Of only 12 texts, 25% had this label");
    assert!(page.text("#basis").contains("of 10 texts with known labels"));
    assert_eq!(page.attribute("#honest-score", "data-low").unwrap(), "0.4375");
    assert!(page.text("#honest-score").contains("0.562 (cross-fitted)"));
    assert!(page.text("#honest-score").contains("from 0.438 to 0.688"));
}

#[wasm_bindgen_test]
async fn bars_are_sized_by_the_style_object_not_by_a_style_attribute_in_markup() {
    let page = Mounted::ready(1).await;
    page.type_text("hello").await;
    page.answer(0, &[[0.5, 0.25]]).await;
    let fill = page.find("#results [data-label=joy] .fill");
    assert_eq!(fill.style().get_property_value("width").unwrap(), "50%");
}

#[wasm_bindgen_test]
async fn nothing_is_computed_anew_for_a_page_that_is_hidden_or_left() {
    let page = Mounted::ready(1).await;
    let times = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&times);
    let online = page.store.part(move |state| {
        counter.fetch_add(1, Ordering::Relaxed);
        state.model.online
    });
    let times_read = || {
        online.get_untracked();
        times.load(Ordering::Relaxed)
    };
    assert_eq!(times_read(), 1);
    page.model(ModelEvent::Seen(false));
    page.model(ModelEvent::Left);
    assert_eq!(times_read(), 1);
    assert_eq!(page.effects.borrow().last(), Some(&Effect::Rest));
    page.model(ModelEvent::Online(false));
    assert_eq!(times_read(), 2);
}

#[wasm_bindgen_test]
async fn text_is_shown_as_text() {
    let page = Mounted::ready(1).await;
    let text = "<img src=x onerror=alert(1)> &amp;";
    page.type_text(text).await;
    page.answer(0, &[[0.5, 0.25]]).await;
    page.click("#explain").await;
    page.answer(0, &[[0.5, 0.25]; 5]).await;
    assert!(!page.has("#explanation img"));
    assert_eq!(page.text("[data-word='0']"), "<img");
    assert_eq!(page.text("[data-word='3']"), "&amp;");
}

#[wasm_bindgen_test]
async fn explains_a_label_word_by_word() {
    let page = Mounted::ready(1).await;
    page.type_text("so glad").await;
    page.answer(0, &[[0.75, 0.25]]).await;
    page.click("#explain").await;
    assert_eq!(page.attribute("#explanation", "data-state").unwrap(), "running");
    page.answer(0, &[[0.75, 0.25], [0.875, 0.25], [0.25, 0.25]]).await;
    assert_eq!(page.attribute("#explanation", "data-state").unwrap(), "done");
    assert_eq!(page.attribute("#explanation", "data-label").unwrap(), "joy");
    assert_eq!(page.attribute("[data-word='0']", "data-change").unwrap(), "-0.125");
    assert_eq!(page.attribute("[data-word='1']", "data-change").unwrap(), "0.5");
    assert!(page.find("[data-word='1']").class_list().contains("up"));
    assert!(page.text("#explanation-text").contains("raises it by 50 points"));
    let fear: HtmlInputElement = page.find("#explain-labels input[value='1']").unchecked_into();
    fear.click();
    page.settle().await;
    assert_eq!(page.attribute("[data-word='1']", "data-change").unwrap(), "0");
    page.click("#explain-close").await;
    assert!(page.has("#explain"));
}

#[wasm_bindgen_test]
async fn classifies_many_lines_into_a_table() {
    let page = Mounted::ready(1).await;
    let area: HtmlTextAreaElement = page.find("#many-text").unchecked_into();
    area.set_value("one\n\ntwo");
    area.dispatch_event(&web_sys::Event::new("input").unwrap()).unwrap();
    page.settle().await;
    assert_eq!(page.text("#many-run"), "Classify 2 texts");
    page.click("#many-run").await;
    assert!(page.has("#many-progress"));
    page.answer(0, &[[0.75, 0.0], [0.0, 0.125]]).await;
    assert_eq!(page.attribute("#many-told", "data-state").unwrap(), "done");
    let cell = "#many-table [data-row='0'] td[data-label=joy]";
    assert_eq!(page.attribute(cell, "data-probability").unwrap(), "0.75");
    assert_eq!(page.attribute(cell, "data-on").unwrap(), "true");
    page.click("#many-download").await;
    assert!(page.effects.borrow().contains(&Effect::SaveTable));
}

#[wasm_bindgen_test]
async fn a_failure_says_what_to_do_and_has_a_button() {
    let page = Mounted::new();
    let file = "manifest.json".to_owned();
    page.model(ModelEvent::StartFailed(Failure::NotFound { file }));
    page.settle().await;
    assert_eq!(page.attribute("#error", "data-failure").unwrap(), "not-found");
    assert_eq!(page.attribute("#error", "role").unwrap(), "alert");
    page.click("#retry").await;
    assert!(page.effects.borrow().contains(&Effect::FetchManifest));
    assert!(!page.has("#error"));
}

#[wasm_bindgen_test]
async fn the_live_region_speaks_after_the_last_answer_only() {
    let page = Mounted::ready(2).await;
    let before = page.text("#status");
    page.type_text("hello").await;
    page.answer(0, &[[0.75, 0.0]]).await;
    assert_eq!(page.text("#status"), before);
    page.answer(1, &[[0.75, 0.0]]).await;
    page.end_waits(Timer::Announce).await;
    assert_eq!(page.text("#status"), "Found: joy 75%.");
}

#[wasm_bindgen_test]
async fn about_shows_the_measured_scores() {
    let page = Mounted::ready(1).await;
    let about = page.text("#about");
    assert!(about.contains("0.562"), "{about}");
    assert!(about.contains("MIT"));
}

#[wasm_bindgen_test]
async fn everything_to_press_or_fill_has_a_name() {
    let page = Mounted::ready(1).await;
    let controls = page.root.query_selector_all("button, input, textarea").unwrap();
    for index in 0..controls.length() {
        let control: HtmlElement = controls.get(index).unwrap().unchecked_into();
        let has_text = !control.text_content().unwrap().trim().is_empty();
        let label = format!("label[for='{}']", control.id());
        let is_labelled = !control.id().is_empty() && page.has(&label);
        let is_within = control.closest("label").unwrap().is_some();
        assert!(has_text || is_labelled || is_within, "{}", control.outer_html());
    }
}
