//! A bundle with a final model: one model answers at once, and the folds are loaded when the visitor asks for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use xtask::engines::Ability;
use xtask::server::Fault;
use xtask::site::{FINAL_ALONE, LIGHT};

use crate::browser::can;
use crate::elements::{Answer, CANCEL, RETRY, TEXT};
use crate::visitor::{Visit, Visitor};
use crate::webdriver::keys::ENTER;

const SENTENCE: &str = "What a lovely surprise, thank you!";

const OFFER: &str = "#offer";
const LOAD: &str = "#load-folds";
const DECLINE: &str = "#decline-folds";

/// The most bytes of model that a visitor of the light choice waits for, and the built-in model `small` keeps to.
const MOST_BYTES: u64 = 9_000_000;

/// Rows of word embeddings that a fold has with nearly the same scale are stored once, with one of the scales; 3e-6 was measured.
const NEARLY: f64 = 1e-3;

/// Notes when the first answer is in the document, in milliseconds since the page was opened.
const WATCH: &str = "
    window.firstAnswer = null;
    const look = () => {
        if (document.querySelector('#results')?.dataset.models) window.firstAnswer = performance.now();
        else setTimeout(look, 2);
    };
    look();";

impl Visitor {
    /// A browser in which the page of a bundle with a final model is open, and that model answers.
    pub fn with_a_final_model() -> Self {
        let visitor = Self::ready_for(&Visit { encoding: LIGHT, ..Visit::default() });
        visitor.arrive();
        visitor.wait_for_phase("ready");
        visitor
    }

    fn wait_for_phase(&self, phase: &str) {
        self.wait_until(&format!(
            "document.querySelector('#download').dataset.phase === {phase:?}"
        ));
    }

    /// Replaces the text and returns the final model's answers.
    fn classify_by_one(&self, text: &str) -> BTreeMap<String, Answer> {
        self.write(text);
        self.wait_for_one(text);
        self.answers()
    }

    fn wait_for_one(&self, text: &str) {
        self.wait_until(&format!(
            "document.querySelector('#text')?.value === {} && \
             document.querySelector('#results').dataset.state === 'complete' && \
             document.querySelector('#results').dataset.models === 'final'",
            Value::from(text)
        ));
    }

    /// Checks that the host was asked for no shard that only folds need.
    fn assert_no_fold_was_requested(&self) {
        let (of_folds, of_final) = self.shards_beside_the_final_model();
        assert!(!of_folds.is_empty());
        assert_eq!(self.requested_of(&of_folds), [""; 0], "nobody asked for the folds");
        assert_eq!(self.requested_of(&of_final), of_final);
    }
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_first_visitor_is_answered_by_one_model_and_asks_for_the_others() {
    let visitor = Visitor::with_a_final_model();
    let of_one = visitor.classify_by_one(SENTENCE);
    assert_eq!(visitor.read("#speaker"), "One model's answer.");
    visitor.wait_for("#offline-ready");
    visitor.wait_for_silence(Duration::from_secs(1));
    visitor.assert_no_fold_was_requested();
    visitor.picture("final-model");

    // The offer says how much more it is.
    let (of_folds, _) = visitor.shards_beside_the_final_model();
    let bytes: u64 =
        of_folds.iter().map(|path| fs::metadata(visitor.served(path)).unwrap().len()).sum();
    assert_eq!(visitor.ask("document.querySelector('#offer').dataset.bytes"), bytes.to_string());
    visitor.click(LOAD);
    visitor.wait_for_all_answers(SENTENCE);
    assert_eq!(visitor.read("#speaker"), "The mean of 5 models.");
    assert_ne!(visitor.answers(), of_one, "five models answer otherwise than one");
    assert!(!visitor.sees(OFFER));
    assert_eq!(visitor.requested_of(&of_folds), of_folds);
    visitor.picture("final-model-and-folds");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_final_model_answers_as_it_does_alone() {
    if !can(&[Ability::Time]) {
        return;
    }
    let texts = [SENTENCE, "I am so angry.", "Go away, all of you!", "\u{1F600}"];
    let visitor = Visitor::with_a_final_model();
    let beside: Vec<_> = texts.iter().map(|text| visitor.classify_by_one(text)).collect();
    visitor.leave();
    let visitor = Visitor::ready_for(&Visit { encoding: FINAL_ALONE, ..Visit::default() });
    visitor.arrive();
    for (text, beside) in texts.iter().zip(beside) {
        visitor.write(text);
        visitor.wait_until(&format!(
            "document.querySelector('#text')?.value === {} && \
             document.querySelector('#results').dataset.state === 'complete'",
            Value::from(*text)
        ));
        for (label, alone) in visitor.answers() {
            let difference = (alone.probability - beside[&label].probability).abs();
            assert!(difference < NEARLY, "{label} differs by {difference} for {text:?}");
        }
    }
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_second_visit_has_the_folds_that_were_asked_for() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.click(LOAD);
    visitor.wait_for_all_folds();
    let expected = visitor.classify(SENTENCE);
    visitor.wait_for_silence(Duration::from_secs(1));
    let (of_folds, of_final) = visitor.shards_beside_the_final_model();
    let shards = |visitor: &Visitor| {
        let all = [&of_folds[..], &of_final].concat();
        visitor.server.log().iter().filter(|asked| all.contains(&asked.target)).count()
    };
    let before = shards(&visitor);
    visitor.arrive();
    visitor.wait_for_all_folds();
    assert_eq!(visitor.classify(SENTENCE), expected);
    assert_eq!(shards(&visitor), before, "all of them are in the cache");

    // The choice goes with the models. What has no choice and is not here is asked about.
    visitor.click("#clear-cache");
    visitor.wait_until_gone("#cache-size");
    visitor.arrive();
    visitor.wait_for_phase("ready");
    visitor.wait_for(DECLINE);
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_visitor_who_declines_is_not_asked_again_and_has_all_the_page_can_do() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.click(DECLINE);
    visitor.wait_until_gone(DECLINE);
    visitor.arrive();
    visitor.wait_for_phase("ready");
    visitor.wait_for(LOAD);
    assert!(!visitor.sees(DECLINE), "the answer is remembered");

    let alone = visitor.classify_by_one("I am afraid of the dark.");
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.choose_texts("two.csv", "text\nI love it.\nI am afraid of the dark.\n");
    visitor.classify_them();
    assert!(visitor.read("#many-told").contains("by one model"));
    let row = visitor.download_table().swap_remove(1);
    for (label, answer) in alone {
        let there: f64 = row[&format!("{label}_probability")].parse().unwrap();
        assert!((there - answer.probability).abs() < 1e-6, "{label}: {there}, {answer:?}");
    }
    visitor.wait_for_silence(Duration::from_secs(1));
    visitor.assert_no_fold_was_requested();
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_folds_can_be_asked_for_by_keyboard_and_stopped() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    let late = visitor.shards_beside_the_final_model().0.pop().unwrap();
    visitor.server.set_fault(&late, Fault::Silence);
    visitor.tab_to(LOAD);
    visitor.session().press(&[ENTER]);
    visitor.wait_until_asked("the last fold", |asked| asked.target == late);
    visitor.click(CANCEL);
    visitor.wait_for_phase("cancelled");
    // One model goes on answering.
    visitor.write(SENTENCE);
    visitor.wait_until("document.querySelector('#results').dataset.models === 'final'");
    visitor.server.clear_fault(&late);
    visitor.click(RETRY);
    visitor.wait_for_all_answers(SENTENCE);
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_second_visit_to_one_model_works_without_a_network() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.wait_for("#offline-ready");
    let expected = visitor.classify_by_one(SENTENCE);
    visitor.wait_until("navigator.serviceWorker.controller");

    visitor.server.set_fault("/", Fault::HangUp);
    visitor.browser.set_offline(true);
    visitor.session().reload();
    visitor.wait_for(TEXT);
    assert_eq!(visitor.classify_by_one(SENTENCE), expected);
    visitor.leave_a_broken_host();
}

/// Prints what a visitor of the light choice waits for: the built-in model `small` in int8, over loopback.
#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_first_answer_of_the_light_choice_needs_few_bytes() {
    if !can(&[Ability::Time]) {
        return;
    }
    for encoding in [LIGHT, FINAL_ALONE] {
        let visitor = Visitor::ready_for(&Visit { encoding, before: WATCH, ..Visit::default() });
        visitor.session().open(&format!("{}#text=What%20a%20lovely%20surprise", visitor.url()));
        visitor.wait_until("window.firstAnswer !== null");
        let asked: Vec<String> =
            visitor.server.log().into_iter().map(|asked| asked.target).collect();
        let milliseconds = visitor.ask("window.firstAnswer").as_f64().unwrap();
        let memory = memory_of_page(&visitor.profile());
        let shards = asked.iter().filter(|path| path.ends_with(".safetensors"));
        let bytes: u64 = shards.map(|path| fs::metadata(visitor.served(path)).unwrap().len()).sum();
        eprintln!(
            "{encoding}: the first answer after {milliseconds:.0} ms and {bytes} bytes of model; the page takes {memory} \
             MiB of memory"
        );
        assert!((1..=MOST_BYTES).contains(&bytes), "{bytes} bytes");
        visitor.leave();
    }
}

/// The resident memory in MiB of the largest process for pages of the browser with this profile; 0 where the system does
/// not tell.
fn memory_of_page(profile: &Path) -> u64 {
    let profile = profile.display().to_string();
    let read = |process: &str, file: &str| {
        fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
    };
    let field = |process: &str, name: &str| -> Option<u64> {
        let status = read(process, "status");
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let is_ours = |process: &str| {
        let mut at = process.to_owned();
        // The processes between are those that start others.
        (0..6).any(|_| {
            let parent = field(&at, "PPid:").unwrap_or(0);
            at = parent.to_string();
            parent > 1 && read(&at, "cmdline").contains(&profile)
        })
    };
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let names = processes.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let pages = names
        .filter(|process| read(process, "cmdline").contains("--type=renderer") && is_ours(process));
    pages.filter_map(|process| field(&process, "VmRSS:")).max().unwrap_or(0) / 1024
}
