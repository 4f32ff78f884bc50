//! A bundle with cold rows: texts without rare words are answered first.

use xtask::engines::Ability;
use xtask::server::Fault;
use xtask::site::COLD_ROWS;

use crate::browser::can;
use crate::elements::{CANCEL, FOLDS, RETRY};
use crate::visitor::{Visit, Visitor};

/// Texts whose word pieces all have hot rows in the small run's vocabulary.
const COMMON: &str = "I am so happy";
const ALSO_COMMON: &str = "I love you";

/// A text with a letter that the run's sentences hardly have, and so with word pieces that have cold rows.
const RARE: &str = "How quixotic of you";

const RARE_WORDS: &str = "#rare-words";

fn visitor_of_cold_rows() -> Visitor {
    Visitor::ready_for(&Visit { encoding: COLD_ROWS, ..Visit::default() })
}

/// The expression that holds while the page reports this stage of rare words.
fn rare_words(stage: &str) -> String {
    format!("document.querySelector('#download')?.dataset.rareWords === {stage:?}")
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn texts_without_rare_words_are_answered_first() {
    let visitor = visitor_of_cold_rows();
    let cold = visitor.cold_shards();
    // All folds' shards, as any fold may be loaded first: that of the worker that listens first.
    cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Silence));
    visitor.arrive();
    visitor.write(COMMON);
    visitor.wait_for_first_answers(1, COMMON);
    visitor.wait_until(&rare_words("awaited"));

    visitor.write(RARE);
    visitor.wait_for(RARE_WORDS);
    visitor.picture("rare-words");
    // It does not hold up another text.
    visitor.write(ALSO_COMMON);
    visitor.wait_for_first_answers(1, ALSO_COMMON);
    visitor.wait_until_gone(RARE_WORDS);
    visitor.write(RARE);
    visitor.wait_for(RARE_WORDS);
    visitor.wait_until("document.querySelector('#results').dataset.state === 'stale'");

    cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
    visitor.wait_for_all_answers(RARE);
    let late = visitor.answers();
    visitor.wait_until_gone(RARE_WORDS);
    visitor.wait_until(&rare_words("here"));
    visitor.wait_for("#offline-ready");
    let common = visitor.classify(COMMON);

    // From the cache.
    let asked = shards_asked_for(&visitor);
    visitor.session().open("about:blank");
    visitor.session().open(visitor.url());
    visitor.wait_until(&rare_words("here"));
    assert_eq!(visitor.classify(RARE), late);
    assert_eq!(shards_asked_for(&visitor), asked);
    visitor.leave_a_broken_host();

    let undivided = Visitor::settled();
    assert_eq!((undivided.classify(COMMON), undivided.classify(RARE)), (common, late));
    undivided.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_page_is_ready_and_says_that_rare_words_are_still_loading() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = visitor_of_cold_rows();
    let cold = visitor.shards_of_one_fold(true);
    visitor.hold(&cold);
    visitor.arrive();
    let of_last = visitor.silence_the_last_of(cold);
    visitor.wait_for_all_folds();
    visitor.classify(COMMON);
    visitor.wait_until("document.querySelector('#download').dataset.phase === 'ready'");
    visitor.wait_until(&rare_words("awaited"));
    visitor.wait_until(
        "document.querySelector('#progress-text').innerText.includes('rare words are still loading')",
    );
    assert!(!visitor.sees("#offline-ready"));
    visitor.picture("rare-words-loading");
    visitor.write(RARE);
    visitor.wait_for_first_answers(FOLDS - 1, RARE);
    // One model waits for rare words.
    visitor.wait_for(RARE_WORDS);

    visitor.click(CANCEL);
    visitor.wait_for("#rare-words-failed");
    visitor.server.clear_fault(&of_last);
    visitor.click(RETRY);
    visitor.wait_for_all_answers(RARE);
    visitor.wait_until(&rare_words("here"));
    visitor.leave_a_broken_host();
}

fn shards_asked_for(visitor: &Visitor) -> usize {
    let log = visitor.server.log();
    log.iter().filter(|asked| asked.target.ends_with(".safetensors")).count()
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn models_without_rare_words_go_on_answering_and_a_retry_loads_them() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = visitor_of_cold_rows();
    let cold = visitor.cold_shards();
    cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Status(404)));
    visitor.arrive();
    visitor.wait_for("#rare-words-failed");
    let failure = visitor.ask("document.querySelector('#rare-words-failed').dataset.failure");
    assert_eq!(failure, "not-found");
    visitor.classify(COMMON);
    visitor.write(RARE);
    visitor.wait_for(RARE_WORDS);
    visitor.picture("rare-words-missing");

    cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
    visitor.click(RETRY);
    visitor.wait_for_all_answers(RARE);
    visitor.wait_until(&rare_words("here"));
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn what_is_typed_changes_nothing_of_what_the_host_is_asked() {
    if !can(&[Ability::Time]) {
        return;
    }
    let asked = |text: &str| {
        let visitor = visitor_of_cold_rows();
        let cold = visitor.cold_shards();
        // The shards are held back until the models have read the text.
        cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Silence));
        visitor.arrive();
        visitor.write(text);
        match text {
            RARE => visitor.wait_for(RARE_WORDS),
            _ => visitor.wait_for_first_answers(1, text),
        }
        cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
        visitor.wait_for_all_answers(text);
        visitor.wait_until(&rare_words("here"));
        let mut targets: Vec<String> =
            visitor.server.log().into_iter().map(|asked| asked.target).collect();
        targets.retain(|target| target.ends_with(".safetensors"));
        // The order of folds depends on which worker is ready first, and shards that were held back are requested twice.
        targets.sort();
        targets.dedup();
        assert!(visitor.server.log().iter().all(|asked| asked.range.is_none()));
        visitor.leave_a_broken_host();
        targets
    };
    assert_eq!(asked(COMMON), asked(RARE));
}
