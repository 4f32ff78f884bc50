//! The second visit: what the browser has kept.

use xtask::engines::Ability;
use xtask::server::Fault;

use crate::browser::can;
use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_second_visit_works_without_a_network() {
    let visitor = Visitor::settled();
    visitor.wait_for("#offline-ready");
    let expected = visitor.classify("Is anybody out there?");
    visitor.wait_until("navigator.serviceWorker.controller");

    visitor.server.set_fault("/", Fault::HangUp);
    visitor.browser.set_offline(true);
    visitor.session().reload();
    visitor.wait_for_all_folds();
    assert_eq!(visitor.classify("Is anybody out there?"), expected);
    visitor.picture("offline");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_second_visit_downloads_no_model_again() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.wait_for("#offline-ready");
    let first = shards_asked_for(&visitor);
    visitor.session().reload();
    visitor.wait_for_all_folds();
    assert_eq!(shards_asked_for(&visitor), first);
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_kept_models_can_be_removed() {
    let visitor = Visitor::settled();
    visitor.wait_for("#offline-ready");
    visitor.wait_until("/[1-9]/.test(document.querySelector('#cache-size').innerText)");
    visitor.click("#clear-cache");
    visitor.wait_until_gone("#offline-ready");
    let kept = visitor.session().run(
        "return caches.keys().then(names => Promise.all(names.map(name => caches.open(name)\
           .then(cache => cache.keys()).then(keys => keys.map(key => key.url))))).then(all => all.flat())",
        serde_json::Value::Null,
    );
    let shards = kept.as_array().unwrap().iter().filter(|url| is_shard(url.as_str().unwrap()));
    assert_eq!(shards.count(), 0, "{kept}");
    visitor.leave();
}

fn shards_asked_for(visitor: &Visitor) -> usize {
    visitor.server.log().iter().filter(|asked| is_shard(&asked.target)).count()
}

fn is_shard(name: &str) -> bool {
    name.contains(".safetensors")
}
