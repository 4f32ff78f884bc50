//! Nothing that a visitor types leaves the browser.

use std::thread;
use std::time::{Duration, SystemTime};

use xtask::engines::Ability;

use crate::browser::can;
use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn once_the_models_are_loaded_nothing_is_asked_of_anyone() {
    let visitor = Visitor::settled();
    visitor.wait_for("#offline-ready");
    // The page's own requests come to an end: icons, and the service worker's files.
    visitor.wait_until("navigator.serviceWorker.controller");
    let asked = visitor.wait_for_silence(Duration::from_secs(2));
    let settled = SystemTime::now();

    visitor.classify("My name is Alice and my password is hunter2.");
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.choose_texts("mine.csv", "text\nMy doctor called.\nI am in love with Bob.\n");
    visitor.classify_them();
    visitor.click("#examples button");
    thread::sleep(Duration::from_secs(1));

    let log = visitor.server.log();
    assert_eq!(log.len(), asked, "the host was asked for {:?}", &log[asked..]);
    // Chromium also tells what it asked of other hosts.
    if visitor.browser.engine.lacks(Ability::NetLog).is_some() {
        return visitor.leave();
    }
    let requests = visitor.leave_and_list_requests(settled);
    assert!(requests.is_empty(), "the browser asked for {requests:#?}");
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn no_request_goes_to_anyone_but_the_host() {
    if !can(&[Ability::NetLog]) {
        return;
    }
    let visitor = Visitor::settled();
    let host = visitor.server.url();
    visitor.classify("Who else is listening?");
    for request in visitor.leave_and_list_requests(SystemTime::UNIX_EPOCH) {
        assert!(request.url.starts_with(&host), "{request:?}");
    }
}
