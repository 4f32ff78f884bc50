//! Faulty hosts, networks and browsers: what the page says, and that it recovers.

use std::thread;
use std::time::Duration;

use serde_json::json;
use xtask::engines::{Ability, Storage, Wishes};
use xtask::server::Fault;

use crate::browser::can;
use crate::elements::{CANCEL, ERROR, RETRY, TEXT};
use crate::visitor::{Visit, Visitor};

/// The code of the failure that the page reports.
fn failure(visitor: &Visitor) -> String {
    let code = visitor.ask("document.querySelector('#error').dataset.failure");
    code.as_str().unwrap_or_default().to_owned()
}

/// A network on which the bundle takes longer than a slow driver takes to see the bar move and to press a button.
const SLOW: Fault = Fault::Throttle { bytes_per_second: 100_000 };

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_shard_with_one_flipped_bit_is_refused_and_a_retry_takes_the_whole_one() {
    let visitor = Visitor::ready();
    let shard = visitor.a_shard_of_all_folds();
    visitor.server.set_fault(&shard, Fault::FlippedByte);
    visitor.arrive();
    visitor.wait_for(ERROR);
    let error = visitor.read(ERROR);
    assert!(!error.is_empty());
    assert_eq!(failure(&visitor), "corrupted", "{error}");
    visitor.picture("error-damaged-file");

    visitor.server.clear_fault(&shard);
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.wait_until_gone(ERROR);
    visitor.classify("All is well again.");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_shard_that_is_missing_is_named_and_a_retry_finds_it() {
    let visitor = Visitor::ready();
    let shard = visitor.a_shard_of_all_folds();
    visitor.server.set_fault(&shard, Fault::Status(404));
    visitor.arrive();
    visitor.wait_for(ERROR);
    assert_eq!(failure(&visitor), "not-found", "{}", visitor.read(ERROR));
    visitor.picture("error-missing-file");

    visitor.server.clear_fault(&shard);
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.classify("It is back.");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_site_without_models_says_so() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready();
    let manifest = format!("{}manifest.json", visitor.bundle());
    visitor.server.set_fault(&manifest, Fault::Status(404));
    visitor.arrive();
    visitor.wait_for(ERROR);
    visitor.server.clear_fault(&manifest);
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.leave_a_broken_host();
}

/// A fallback for unknown paths and a login are pages with status 200.
const PAGE: Fault = Fault::Page("<!DOCTYPE html><html><head><title>Sign in</title></head></html>");

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_host_that_sends_a_page_instead_of_a_file_is_told_in_words() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready();
    let manifest = format!("{}manifest.json", visitor.bundle());
    visitor.server.set_fault(&manifest, PAGE);
    visitor.arrive();
    visitor.wait_for(ERROR);
    let error = visitor.read(ERROR);
    assert_eq!(failure(&visitor), "instead", "{error}");
    for words in [
        "a web page (“Sign in”) instead of the file `manifest.json`",
        &manifest,
        "the site's owner",
    ] {
        assert!(error.contains(words), "`{words}` in {error}");
    }

    let shard = visitor.a_shard_of_all_folds();
    visitor.server.set_fault(&shard, PAGE);
    visitor.server.clear_fault(&manifest);
    visitor.click(RETRY);
    visitor.wait_until("document.querySelector('#error')?.textContent.includes('.safetensors')");
    assert_eq!(failure(&visitor), "instead", "{}", visitor.read(ERROR));
    visitor.server.clear_fault(&shard);
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.classify("All is well again.");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_busy_host_is_asked_again_automatically() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready();
    let shard = visitor.a_shard_of_all_folds();
    visitor.server.set_fault(&shard, Fault::Status(503));
    visitor.arrive();
    visitor.wait_until_asked("the shard", |asked| asked.target == shard && asked.status == 503);
    visitor.server.clear_fault(&shard);
    visitor.wait_for_all_folds();
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let visitor = Visitor::ready();
    // The shard has megabytes, because Chromium drops what it has not passed on when the connection breaks.
    let shard = visitor.a_shard_of_the_last_fold();
    visitor.server.set_fault(&shard, Fault::CutOnce(3_000_000));
    visitor.arrive();
    visitor.wait_for_all_folds();
    let ranges: Vec<String> =
        visitor.server.log().into_iter().filter_map(|asked| asked.range).collect();
    let [range] = &ranges[..] else { panic!("one request goes on in the middle, not {ranges:?}") };
    let first = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap();
    assert!((1..=3_000_000).contains(&first.parse().unwrap()), "{range}");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn on_a_slow_network_the_bar_moves_and_a_cancelled_download_goes_on_at_retry() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready();
    visitor.server.set_fault(visitor.bundle(), SLOW);
    visitor
        .server
        .set_fault(&format!("{}manifest.json", visitor.bundle()), Fault::CutOnce(usize::MAX));
    visitor.arrive();
    visitor.wait_for("#progress");
    let progress = "document.querySelector('#progress').value";
    visitor.wait_until(&format!("{progress} > 0"));
    let first = visitor.ask(progress).as_f64().unwrap();
    visitor.wait_until(&format!("{progress} > {first}"));
    visitor.picture("loading");

    visitor.click(CANCEL);
    visitor.wait_for(RETRY);
    // A request that was sent before the cancel may arrive after it.
    let before = visitor.wait_for_silence(Duration::from_secs(1));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(visitor.server.log().len(), before, "nothing is asked for after a cancel");

    visitor.server.clear_fault(visitor.bundle());
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.classify("That took a while.");
    visitor.leave_a_broken_host();
}

fn visitor_with(storage: Storage) -> Visitor {
    let wishes = Wishes { storage, ..Wishes::default() };
    Visitor::ready_for(&Visit { wishes, ..Visit::default() })
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_browser_without_room_classifies_and_says_that_nothing_is_kept() {
    if !can(&[Ability::Quota]) {
        return;
    }
    let visitor = visitor_with(Storage::Scarce);
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify("There is no room for me.");
    visitor.wait_for("#not-cached");
    let words = visitor.read("#not-cached");
    assert!(words.contains("storage for this site is full"), "{words}");
    assert!(!visitor.sees("#offline-ready"));
    visitor.picture("no-room");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_browser_whose_settings_forbid_storage_classifies_and_says_that_nothing_is_kept() {
    let visitor = visitor_with(Storage::Forbidden);
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify("Nothing of me stays here.");
    visitor.wait_for("#not-cached");
    let words = visitor.read("#not-cached");
    assert!(words.contains("settings do not allow storage"), "{words}");
    assert!(!visitor.sees("#offline-ready"));
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_browser_without_a_cache_works_too() {
    let visit = Visit {
        before: "delete window.caches; delete Window.prototype.caches;",
        ..Visit::default()
    };
    let visitor = Visitor::ready_for(&visit);
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify("No cache at all.");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_browser_without_simd_is_told_what_it_lacks() {
    if !can(&[Ability::Time]) {
        return;
    }
    // The page's own module uses SIMD, so nothing of it starts.
    const NO_SIMD: &str = "WebAssembly.instantiate = WebAssembly.instantiateStreaming = \
        () => Promise.reject(new WebAssembly.CompileError('invalid opcode 0xfd'));";
    let visitor = Visitor::ready_for(&Visit { before: NO_SIMD, ..Visit::default() });
    visitor.session().open(visitor.url());
    visitor.wait_for("#boot-failed");
    assert!(visitor.read("#boot-failed").contains("SIMD"));
    visitor.picture("error-old-browser");
    visitor.leave_despite(&["javascript"]);
}

/// Collects the page's workers, for the story to end one.
const WATCH_WORKERS: &str = "
    window.workers = [];
    const Real = Worker;
    window.Worker = class extends Real {
        constructor(...words) { super(...words); window.workers.push(this); }
    };";

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_worker_that_dies_is_started_again() {
    let visitor = Visitor::ready_for(&Visit { before: WATCH_WORKERS, ..Visit::default() });
    visitor.arrive();
    visitor.wait_for_all_folds();
    let expected = visitor.classify("Five are better than four.");
    let workers = visitor.ask("window.workers.length").as_u64().unwrap();
    // This is what a trap in WebAssembly looks like from outside. WebKit's workers tell nothing once they are terminated.
    visitor.session().run(
        "const dead = window.workers[0];
         dead.dispatchEvent(new ErrorEvent('error', { message: 'RuntimeError: unreachable' }));
         dead.terminate();",
        json!(null),
    );
    visitor.wait_until(&format!("window.workers.length > {workers}"));
    visitor.wait_for_all_folds();
    visitor.classify("Another text.");
    assert_eq!(visitor.classify("Five are better than four."), expected);
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_visitor_without_a_network_is_told_so() {
    let visitor = Visitor::ready();
    visitor.server.set_fault(visitor.bundle(), Fault::HangUp);
    visitor.arrive();
    visitor.wait_for(TEXT);
    visitor.browser.set_offline(true);
    visitor.wait_for(ERROR);
    assert_eq!(failure(&visitor), "offline", "{}", visitor.read(ERROR));
    visitor.picture("error-offline");
    visitor.server.clear_fault(visitor.bundle());
    visitor.browser.set_offline(false);
    visitor.click(RETRY);
    visitor.wait_for_all_folds();
    visitor.leave_a_broken_host();
}
