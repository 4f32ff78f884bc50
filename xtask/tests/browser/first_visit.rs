//! The page's first minute: it loads, a text is typed, folds answer.

use std::time::Duration;

use xtask::engines::Ability;

use crate::browser::can;
use crate::elements::{FOLDS, TEXT};
use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_first_visitor_types_a_text_and_five_folds_answer() {
    let visitor = Visitor::arrived();
    visitor.click(TEXT);
    // Key by key, as people type.
    visitor.session().send_keys(TEXT, "What a lovely surprise, thank you!");
    visitor.wait_for_all_answers("What a lovely surprise, thank you!");

    let answers = visitor.answers();
    let labels: Vec<&str> = answers.keys().map(String::as_str).collect();
    assert_eq!(labels, ["anger", "fear", "joy", "sadness", "surprise"]);
    for (label, answer) in &answers {
        assert!((0.0..=1.0).contains(&answer.probability), "{label}: {answer:?}");
    }
    visitor.wait_for("#offline-ready");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_first_folds_answer_while_the_last_still_load() {
    let visitor = Visitor::ready();
    let folds = visitor.shards_of_one_fold(false);
    visitor.hold(&folds);
    visitor.arrive();
    visitor.wait_for(TEXT);
    visitor.write("I miss the old house.");
    let late = visitor.silence_the_last_of(folds);
    visitor.wait_for_first_answers(FOLDS - 1, "I miss the old house.");
    let early = visitor.answers();

    // The host closes the connection that waits, and the page requests the shard again.
    visitor.server.clear_fault(&late);
    visitor.wait_for_all_answers("I miss the old house.");
    assert_ne!(visitor.answers(), early, "the fifth fold changes the mean");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_newest_text_wins_however_fast_one_types() {
    let visitor = Visitor::settled();
    let expected = visitor.classify("I am so happy for you.");
    for text in ["This is", "This is outrageous", "I was terrified", "I am so happy for you."] {
        visitor.write(text);
        std::thread::sleep(Duration::from_millis(40));
    }
    visitor.wait_for_all_answers("I am so happy for you.");
    assert_eq!(visitor.answers(), expected);
    // No late answer may overwrite it.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(visitor.answers(), expected);
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn an_example_is_classified_at_a_click() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.click("#examples button");
    visitor.wait_until("document.querySelector('#text').value !== ''");
    let text = visitor.ask("document.querySelector('#text').value");
    visitor.wait_for_all_answers(text.as_str().unwrap());
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_share_link_opens_the_page_with_its_text_and_tells_the_host_nothing() {
    let text = "Grüße & \"quotes\" #1, 100% 😀";
    let visitor = Visitor::settled();
    visitor.browser.permit_clipboard(&visitor.server.url());
    let expected = visitor.classify(text);
    visitor.click("#share");
    visitor.wait_until("location.hash.length > 1");
    let link = visitor.ask("location.href").as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{}#", visitor.url())), "{link}");

    visitor.session().open("about:blank");
    visitor.session().open(&link);
    visitor.wait_for_all_answers(text);
    assert_eq!(visitor.answers(), expected);
    for asked in visitor.server.log() {
        let (path, worker) = asked.target.split_once("?worker=").unwrap_or((&asked.target, "0"));
        let tells = path.contains(['%', '#', '?']) || worker.parse::<u8>().is_err();
        assert!(!tells, "the host was told {}", asked.target);
    }
    visitor.leave();
}
