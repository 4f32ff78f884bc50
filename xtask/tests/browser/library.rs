//! The JavaScript package on another page.

use serde_json::json;
use xtask::docs;
use xtask::engines::Ability;
use xtask::server::Fault;
use xtask::site::LIGHT;
use xtask::workspace::Workspace;

use crate::browser::can;
use crate::visitor::{Files, Visit, Visitor};

fn ready() -> Visitor {
    Visitor::ready_for(&Visit { files: Files::Package, ..Visit::default() })
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_example_page_of_the_package_classifies_as_one_types() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    visitor.session().open(&format!("{}example.html", visitor.url()));
    visitor.wait_until("document.querySelector('#text')?.disabled === false");
    visitor.session().send_keys("#text", "How wonderful!");
    visitor.wait_until("/joy 0\\.\\d\\d/.test(document.querySelector('#answer').textContent)");
    // Chromium requests an icon, which the example does not have.
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_loads_classifies_explains_its_errors_and_lets_go() {
    let visitor = ready();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let told = visitor.run_module("   import { load, cacheSize, clearCache } from './quintet.js';
            const steps = [];
            const onProgress = ({ received, total }) => steps.push(received / total);
            const ensemble = await load('bundle/', { onProgress });
            const one = await ensemble.classify('I am so happy.');
            const many = await ensemble.classify(['I am so happy.', 'Go away!']);
            const { labels, thresholds, folds } = ensemble;
            ensemble.dispose();
            const disposed = await ensemble.classify('Hello?').catch(error => error.code);
            const kept = await cacheSize();
            await clearCache();
            tell({ steps, one, many, labels, thresholds, folds, disposed, kept, left: await cacheSize() });",
    );
    assert_eq!(told["labels"], json!(["anger", "fear", "joy", "sadness", "surprise"]));
    assert_eq!((told["thresholds"].as_array().unwrap().len(), &told["folds"]), (5, &json!(5)));
    let joy = &told["one"]["labels"]["joy"];
    let [lowest, mean, highest] =
        ["lowest", "probability", "highest"].map(|field| joy[field].as_f64().unwrap());
    assert!(lowest <= mean && mean <= highest, "{joy}");
    assert_eq!(joy["folds"].as_array().unwrap().len(), 5);
    assert_eq!(joy["on"], mean >= joy["threshold"].as_f64().unwrap());
    let again = told["many"][0]["labels"]["joy"]["probability"].as_f64().unwrap();
    assert!((again - mean).abs() < 1e-6, "{again} among others, {mean} alone");
    let steps: Vec<f64> = serde_json::from_value(told["steps"].clone()).unwrap();
    assert!(steps.is_sorted() && steps.last() == Some(&1.0), "{steps:?}");
    assert_eq!(told["disposed"], "disposed");
    assert!(told["kept"].as_f64().unwrap() > 0.0);
    assert_eq!(told["left"], 0);
    visitor.leave_a_broken_host();
}

/// It took bytes that are of another window's class for the end of the file.
#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_loads_where_fetch_is_that_of_another_window() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let told = visitor.run_module(
        "   import { load, cacheSize } from './quintet.js';
            await cacheSize();
            const { contentWindow } = document.body.appendChild(document.createElement('iframe'));
            window.fetch = request => contentWindow.fetch(request);
            tell((await load('bundle/')).folds);",
    );
    assert_eq!(told, 5);
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_answers_by_one_model_or_by_the_folds_and_says_which() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visit = Visit { files: Files::Package, encoding: LIGHT, ..Visit::default() };
    let visitor = Visitor::ready_for(&visit);
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let told = visitor.run_module(
        "   import { load } from './quintet.js';
            const one = await load('bundle/', { models: 'final' });
            const before = [one.hasFinalModel, one.models, one.folds];
            tell([before, await one.classify('I am so happy.')]);",
    );
    assert_eq!(told[0], json!([true, "final", 5]));
    let by_one = &told[1];
    assert_eq!(
        (&by_one["models"], &by_one["labels"]["joy"]["folds"]),
        (&json!("final"), &json!([]))
    );
    let (of_folds, of_final) = visitor.shards_beside_the_final_model();
    assert_eq!(visitor.requested_of(&of_folds), [""; 0]);
    assert_eq!(visitor.requested_of(&of_final), of_final);

    let told = visitor.run_module(
        "   import { load, clearCache } from './quintet.js';
            const first = await load('bundle/', { models: 'final-then-folds' });
            const early = await first.classify('I am so happy.');
            const steps = [first.models];
            await first.loadFolds();
            steps.push(first.models);
            const late = await first.classify('I am so happy.');
            await first.loadFolds();
            first.dispose();
            await clearCache();
            tell({ early, late, steps });",
    );
    assert_eq!(told["early"], *by_one);
    assert_eq!(told["steps"], json!(["final", "folds"]));
    let late = &told["late"];
    assert_eq!(late["models"], "folds");
    assert_eq!(late["labels"]["joy"]["folds"].as_array().unwrap().len(), 5);

    let own = of_final.last().unwrap();
    let of_own = |visitor: &Visitor| {
        visitor.server.log().iter().filter(|asked| asked.target == *own).count()
    };
    let before = of_own(&visitor);
    let told = visitor.run_module(
        "   import { load } from './quintet.js';
            const folds = await load('bundle/');
            const wrong = await load('bundle/', { models: 'three' }).catch(error => error.name);
            tell([await folds.classify('I am so happy.'), folds.models, wrong]);",
    );
    assert_eq!(told, json!([late, "folds", "TypeError"]));
    assert_eq!(of_own(&visitor), before, "the folds alone need no shard of the final model");
    // Chromium requests an icon, which the package does not have.
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_says_that_a_bundle_has_no_final_model() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let told = visitor.run_module(
        "   import { load } from './quintet.js';
            const code = await load('bundle/', { models: 'final' }).catch(error => error.code);
            const folds = await load('bundle/', { models: 'final-then-folds' });
            tell([code, folds.hasFinalModel, (await folds.classify('I am so happy.')).models]);",
    );
    assert_eq!(told, json!(["bundle", false, "folds"]));
    // Chromium requests an icon, which the package does not have.
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_rejects_with_a_code_and_a_remedy() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    visitor.server.set_fault(&visitor.a_shard_of_all_folds(), Fault::FlippedByte);
    // A host with a fallback for paths that it does not know.
    visitor.server.set_fault("/fallback/", Fault::Page("<!DOCTYPE html><title>My app</title>"));
    let errors = visitor.run_module("   import { load } from './quintet.js';
            const fails = (url, options) => load(url, options).then(() => 'loaded', error => [error.name, error.code, error.remedy]);
            const controller = new AbortController();
            controller.abort();
            tell([await fails('bundle/'), await fails('nowhere/'), await fails('/fallback/'),
                  await load('bundle/', { signal: controller.signal }).catch(error => error.name)]);",
    );
    for (place, code) in [(0, "corrupted"), (1, "not-found"), (2, "instead")] {
        assert_eq!(errors[place][0], "QuintetError", "{errors}");
        assert_eq!(errors[place][1], code, "{errors}");
        assert!(errors[place][2].as_str().is_some_and(|remedy| remedy.ends_with('.')), "{errors}");
    }
    assert_eq!(errors[3], "AbortError");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_javascript_of_the_documents_runs() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let blocks = docs::blocks(&Workspace::find(), "js").unwrap();
    assert!(!blocks.is_empty());
    for (place, code) in blocks {
        assert_eq!(visitor.run_module(&format!("{code}\ntell('done');")), "done", "{place}");
    }
    visitor.leave_a_broken_host();
}
