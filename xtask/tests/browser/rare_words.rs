//! A bundle whose first word embeddings make the models answer: common words at once, rare ones when they can be.

use xtask::server::Fault;
use xtask::site::PARTED;

use crate::elements::{CANCEL, FOLDS, RETRY};
use crate::visitor::{Visit, Visitor};

/// Texts of frequent pieces of the small run's vocabulary.
const COMMON: &str = "I am so happy";
const ALSO_COMMON: &str = "I love you";

/// It has the letter that no sentence of the run has, nearly.
const RARE: &str = "How quixotic of you";

const RARE_WORD: &str = "#rare-word";

fn parted() -> Visitor {
    Visitor::ready_for(&Visit { encoding: PARTED, ..Visit::default() })
}

/// The expression that holds while the page says so of the words that come last.
fn rare_words(standing: &str) -> String {
    format!("document.querySelector('#download')?.dataset.rareWords === {standing:?}")
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn common_words_are_answered_first_and_a_rare_one_waits() {
    let visitor = parted();
    let cold = visitor.cold_shards();
    // Whichever fold comes first, which is that of the worker that listens first.
    cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Silence));
    visitor.arrive();
    visitor.write(COMMON);
    visitor.wait_for_first_answers(1, COMMON);
    assert!(visitor.says(&rare_words("awaited")));

    visitor.write(RARE);
    visitor.wait_for(RARE_WORD);
    visitor.picture("rare-word");
    // Another text does not wait behind it.
    visitor.write(ALSO_COMMON);
    visitor.wait_for_first_answers(1, ALSO_COMMON);
    assert!(!visitor.sees(RARE_WORD));
    visitor.write(RARE);
    visitor.wait_for(RARE_WORD);
    assert!(visitor.says("document.querySelector('#results').dataset.state === 'stale'"));

    cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
    visitor.wait_for_all_answers(RARE);
    let late = visitor.answers();
    visitor.wait_until_gone(RARE_WORD);
    visitor.wait_until(&rare_words("here"));
    visitor.wait_for("#offline-ready");
    let common = visitor.classify(COMMON);

    // From the cache.
    let asked = shards_asked_for(&visitor);
    visitor.session.open("about:blank");
    visitor.session.open(visitor.url());
    visitor.wait_until(&rare_words("here"));
    assert_eq!(visitor.classify(RARE), late);
    assert_eq!(shards_asked_for(&visitor), asked);
    visitor.leave_a_broken_host();

    let whole = Visitor::settled();
    assert_eq!((whole.classify(COMMON), whole.classify(RARE)), (common, late));
    whole.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_page_is_ready_and_says_that_words_are_on_their_way() {
    let visitor = parted();
    let cold = visitor.cold_shards();
    let of_last = cold.last().unwrap();
    visitor.server.set_fault(of_last, Fault::Silence);
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify(COMMON);
    assert!(visitor.says("document.querySelector('#download').dataset.phase === 'ready'"));
    assert!(visitor.says(&rare_words("awaited")));
    assert!(visitor.read("#progress-text").contains("the rest of the vocabulary is still loading"));
    assert!(!visitor.sees("#offline-ready"));
    visitor.picture("rest-of-the-vocabulary");
    visitor.write(RARE);
    visitor.wait_for_first_answers(FOLDS - 1, RARE);
    assert!(visitor.sees(RARE_WORD), "one model waits");

    visitor.session.click(CANCEL);
    visitor.wait_for("#rest-failed");
    visitor.server.clear_fault(of_last);
    visitor.session.click(RETRY);
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
fn models_whose_rare_words_cannot_be_had_answer_on_and_a_retry_gets_them() {
    let visitor = parted();
    let cold = visitor.cold_shards();
    cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Status(404)));
    visitor.arrive();
    visitor.wait_for("#rest-failed");
    let failure = visitor.ask("document.querySelector('#rest-failed').dataset.failure");
    assert_eq!(failure, "not-found");
    visitor.classify(COMMON);
    visitor.write(RARE);
    visitor.wait_for(RARE_WORD);
    visitor.picture("rare-words-missing");

    cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
    visitor.session.click(RETRY);
    visitor.wait_for_all_answers(RARE);
    visitor.wait_until(&rare_words("here"));
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn what_is_typed_changes_nothing_of_what_the_host_is_asked() {
    let asked = |text: &str| {
        let visitor = parted();
        let cold = visitor.cold_shards();
        // Held back until the text was read.
        cold.iter().for_each(|shard| visitor.server.set_fault(shard, Fault::Silence));
        visitor.arrive();
        visitor.write(text);
        match text {
            RARE => visitor.wait_for(RARE_WORD),
            _ => visitor.wait_for_first_answers(1, text),
        }
        cold.iter().for_each(|shard| visitor.server.clear_fault(shard));
        visitor.wait_for_all_answers(text);
        visitor.wait_until(&rare_words("here"));
        let mut targets: Vec<String> =
            visitor.server.log().into_iter().map(|asked| asked.target).collect();
        targets.retain(|target| target.ends_with(".safetensors"));
        // Folds come in the order in which their workers listen; what was held back is asked for again.
        targets.sort();
        targets.dedup();
        assert!(visitor.server.log().iter().all(|asked| asked.range.is_none()));
        visitor.leave_a_broken_host();
        targets
    };
    assert_eq!(asked(COMMON), asked(RARE));
}
