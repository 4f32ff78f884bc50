//! A bundle on another site: it is used if the page says which one it must be, and then to the last byte.

use serde_json::{Value, json};
use xtask::page::Elsewhere;
use xtask::server::{Fault, Server};
use xtask::site::{self, Site};
use xtask::workspace::Workspace;

use crate::elements::FOLDS;
use crate::visitor::{Files, Visit, Visitor};

/// The encodings of two bundles of one run.
const BUNDLE: &str = "int12";
const ANOTHER: &str = "int8";

/// Another site. It has the bundle below `/cdn/`, another one below `/replaced/`, and sends whoever asks below `/resolve/` to
/// `/cdn/`, as hosts of models do.
struct OtherSite {
    server: Server,
    integrity: String,
}

impl OtherSite {
    fn open() -> Self {
        let workspace = Workspace::find();
        let site = Site::of(&workspace);
        let folders = [BUNDLE, ANOTHER].map(|encoding| site.bundle(encoding));
        let folders = [("/cdn/", folders[0].as_path()), ("/replaced/", folders[1].as_path())];
        let server = Server::start_for_all_sites(0, &folders).unwrap();
        server.set_fault("/resolve/", Fault::Redirect { to: "/cdn/" });
        let integrity = site::integrity(&workspace, folders[0].1).unwrap();
        Self { server, integrity }
    }

    /// The address of a folder there.
    fn folder(&self, path: &str) -> String {
        format!("{}{path}/", self.server.url())
    }

    /// How often a file whose name ends so was sent.
    fn sent(&self, ending: &str) -> usize {
        let log = self.server.log();
        log.iter().filter(|asked| asked.target.ends_with(ending) && asked.status < 300).count()
    }
}

fn visit(elsewhere: &Elsewhere) -> Visitor {
    Visitor::ready_for(&Visit { elsewhere: Some(elsewhere), ..Visit::default() })
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_of_another_site_answers_if_it_is_the_one() {
    let other = OtherSite::open();
    let elsewhere = Elsewhere::new(&other.folder("resolve"), &other.integrity, &[]).unwrap();
    let visitor = visit(&elsewhere);
    // The connection breaks once, and the download goes on where it was (`trouble.rs` says why after megabytes).
    let shard = visitor.a_shard_of_the_last_fold().replace(visitor.bundle(), "/cdn/");
    other.server.set_fault(&shard, Fault::CutOnce(3_000_000));
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.classify("From another site.");
    let ranges: Vec<_> = other.server.log().into_iter().filter_map(|asked| asked.range).collect();
    let [first, after_redirection @ ..] = &ranges[..] else { panic!("the rest is asked for") };
    // In WebKit only one of the two requests has the range.
    assert!(after_redirection.iter().all(|range| range == first), "{ranges:?}");
    for asked in visitor.server.log() {
        assert!(!asked.target.starts_with(visitor.bundle()), "{}", asked.target);
    }
    let host = other.server.url().replace("http://", "").replace('/', "");
    let about = visitor.ask("document.querySelector('#about').textContent");
    assert!(
        about.as_str().unwrap().contains(&format!("other sites but {host}, which holds")),
        "{about}"
    );

    // The next visit has all it needs, the manifest too: it cannot be another one.
    let asked = other.server.log().len();
    visitor.session().open(visitor.url());
    visitor.wait_for_all_folds();
    visitor.classify("Nothing is fetched again.");
    assert_eq!(other.server.log().len(), asked);
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_that_was_replaced_on_the_other_site_is_refused() {
    let other = OtherSite::open();
    let elsewhere = Elsewhere::new(&other.folder("replaced"), &other.integrity, &[]).unwrap();
    let visitor = visit(&elsewhere);
    visitor.session().open(visitor.url());
    visitor.wait_for("#error[data-failure=altered]");
    assert_eq!(other.sent(".safetensors"), 0, "nothing of it is loaded");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_policy_allows_the_other_site_and_no_third() {
    let (other, third) = (OtherSite::open(), OtherSite::open());
    let elsewhere = Elsewhere::new(&other.folder("cdn"), &other.integrity, &[]).unwrap();
    let visitor = visit(&elsewhere);
    visitor.session().open(visitor.url());
    let reached = |site: &OtherSite| {
        let manifest = format!("{}manifest.json", site.folder("cdn"));
        visitor.ask(&format!("fetch('{manifest}').then(() => true, () => false)"))
    };
    assert_eq!((reached(&other), reached(&third)), (json!(true), json!(false)));
    assert_eq!(third.server.log().len(), 0);
    visitor.leave_despite(&["security", "javascript", "network"]);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_asks_for_the_integrity_of_another_sites_bundle() {
    let other = OtherSite::open();
    let visitor = Visitor::ready_for(&Visit { files: Files::Package, ..Visit::default() });
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let places = json!([other.folder("cdn"), other.folder("replaced"), other.integrity]);
    let told = visitor.run_module(&format!(
        "const [there, replaced, integrity] = {places};
        {}",
        "   import { load, clearCache } from './quintet.js';
            const fails = (url, options) => load(url, options).then(() => 'loaded', error => error.code ?? error.name);
            const errors = [await fails(there), await fails(there, { integrity: 'sha256-abc' }),
                            await fails(replaced, { integrity }), await fails('bundle/', { integrity: 'sha256-' + 'A'.repeat(43) + '=' })];
            const ensemble = await load(there, { integrity });
            const own = await load('bundle/', { integrity });
            const text = 'I am so happy.';
            const answers = [await ensemble.classify(text), await own.classify(text)];
            ensemble.dispose();
            await clearCache();
            tell({ errors, answers, folds: ensemble.folds });"
    ));
    assert_eq!(told["errors"], json!(["unpinned", "argument", "altered", "altered"]));
    assert_eq!(told["folds"], Value::from(FOLDS));
    assert_eq!(told["answers"][0], told["answers"][1]);
    visitor.leave_a_broken_host();
}
