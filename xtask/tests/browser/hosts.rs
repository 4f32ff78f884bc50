//! Where a site may be served from, and its security policy.

use serde_json::Value;

use xtask::engines::Ability;

use crate::browser::can;
use crate::visitor::{Visit, Visitor};

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_page_works_below_a_path() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready_for(&Visit { path: "/somebody/quintet/", ..Visit::default() });
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify("As on GitHub Pages.");
    visitor.wait_for("#offline-ready");
    for asked in visitor.server.log() {
        assert!(asked.target.starts_with("/somebody/quintet/"), "{}", asked.target);
    }
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_strict_policy_forbids_what_the_page_does_not_do() {
    let visitor = Visitor::settled();
    let policy = visitor
        .ask("document.querySelector('meta[http-equiv=\"Content-Security-Policy\"]')?.content");
    let policy = policy.as_str().expect("the page has a policy");
    for (directive, allowed) in [("default-src", "'none'"), ("connect-src", "'self'")] {
        assert!(policy.contains(&format!("{directive} {allowed}")), "{policy}");
    }
    for hole in ["'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"] {
        let held = policy.split(|c: char| c == ';' || c.is_whitespace()).any(|word| word == hole);
        assert!(!held, "{hole} in {policy}");
    }
    // The browser enforces it: an inline script does not run.
    visitor.session().run(
        "const script = document.createElement('script'); script.textContent = 'window.hacked = 1'; \
         document.body.append(script);",
        Value::Null,
    );
    assert!(visitor.says("window.hacked === undefined"));
    visitor.leave_despite(&["security", "javascript"]);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn every_script_and_style_is_checked_against_its_digest() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::arrived();
    let unchecked = visitor.ask(
        "Array.from(document.querySelectorAll('script[src], link[rel=stylesheet], link[rel=modulepreload]'))\
         .filter(element => !element.integrity).map(element => element.outerHTML)",
    );
    assert_eq!(unchecked.as_array().unwrap().len(), 0, "{unchecked}");
    visitor.leave();
}
