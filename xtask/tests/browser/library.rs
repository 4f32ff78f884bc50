//! The JavaScript package on another page.

use serde_json::{Value, json};
use xtask::docs;
use xtask::engines::Ability;
use xtask::server::{Fault, Server};
use xtask::site::LIGHT;
use xtask::workspace::Workspace;

use crate::browser::can;
use crate::visitor::{Files, Visit, Visitor};

fn ready() -> Visitor {
    Visitor::ready_for(&Visit { files: Files::Package, ..Visit::default() })
}

/// A visitor of a page that has no script of its own. Chromium requests an icon, which the package does not have.
fn on_a_page() -> Visitor {
    opened(ready())
}

/// The same, where the bundle has a final model beside its folds.
fn beside_a_final_model() -> Visitor {
    let visit = Visit { files: Files::Package, encoding: LIGHT, ..Visit::default() };
    opened(Visitor::ready_for(&visit))
}

fn opened(visitor: Visitor) -> Visitor {
    visitor.session().open(&format!("{}README.md", visitor.url()));
    visitor
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
    let visitor = on_a_page();
    let told = visitor.run_module(
        "import { load, cacheSize, clearCache } from './quintet.js';
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
    let visitor = on_a_page();
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
    let visitor = beside_a_final_model();
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
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_answers_fold_by_fold_explains_and_drops_what_is_aborted() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
    let told = visitor.session().run(
        "return (async () => {
            const { load } = await import('./quintet.js');
            const text = 'I am 😀 so happy.';
            const ensemble = await load('bundle/');
            const partial = [];
            const onAnswer = (answer, progress) => partial.push({ answer, ...progress });
            const last = await ensemble.classify(text, { onAnswer });
            const explanation = await ensemble.explain(text, 'joy');
            const places = explanation.words.map(({ start, end }) => text.slice(start, end));
            const without = await ensemble.classify('I am 😀 so ');
            const controller = new AbortController();
            const { signal } = controller;
            const many = ensemble.classify(Array(300).fill(text), { signal });
            const words = ensemble.explain(text.repeat(30), 'joy', { signal });
            controller.abort(new Error('enough'));
            const aborted = (await Promise.allSettled([many, words, ensemble.classify(text, { signal })]))
                .map(({ reason }) => reason?.message);
            const again = await ensemble.classify(text);
            const wrong = await Promise.all([() => ensemble.explain(text, 'hunger'), () => ensemble.classify(7),
                () => ensemble.classify(text, { onAnswer: 7 }), () => load('bundle/', { folds: 1.5 }),
                () => load('bundle/', { memory: 'all' })].map((call) => call().catch(({ name, code }) => [name, code])));
            const none = await load('bundle/', { folds: 6 }).catch(({ code }) => code);
            ensemble.dispose();
            return { partial, last, explanation, places, without, aborted, again, wrong, none };
        })()",
        Value::Null,
    );
    let partial = told["partial"].as_array().unwrap();
    assert_eq!(partial.len(), 5);
    let mut folds: Vec<u64> = Vec::new();
    for (place, partial) in partial.iter().enumerate() {
        folds.push(partial["fold"].as_u64().unwrap());
        assert_eq!((&partial["answered"], &partial["of"]), (&json!(place + 1), &json!(5)));
        let of_folds = partial["answer"]["labels"]["joy"]["folds"].as_array().unwrap();
        assert_eq!(of_folds.len(), place + 1);
    }
    folds.sort_unstable();
    assert_eq!(folds, [0, 1, 2, 3, 4]);
    assert_eq!(partial[4]["answer"], told["last"]);
    assert_eq!(told["again"], told["last"]);

    let joy = |answer: &Value| answer["labels"]["joy"]["probability"].as_f64().unwrap();
    let explanation = &told["explanation"];
    assert_eq!((&explanation["label"], &explanation["models"]), (&json!("joy"), &json!("folds")));
    assert!((explanation["probability"].as_f64().unwrap() - joy(&told["last"])).abs() < 1e-6);
    assert_eq!(told["places"], json!(["I", "am", "😀", "so", "happy."]));
    let changes: Vec<f64> = explanation["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word["change"].as_f64().unwrap())
        .collect();
    let expected = joy(&told["last"]) - joy(&told["without"]);
    assert!((changes[4] - expected).abs() < 1e-5, "{changes:?}, {expected} expected");
    assert!(changes.iter().any(|change| change.abs() > 1e-3), "{changes:?}");

    assert_eq!(told["aborted"], json!(["enough", "enough", "enough"]));
    assert_eq!(
        told["wrong"],
        json!([
            ["TypeError", "argument"],
            ["TypeError", "argument"],
            ["TypeError", "argument"],
            ["TypeError", "argument"],
            ["TypeError", "argument"]
        ])
    );
    assert_eq!(told["none"], "bundle");
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_loads_the_folds_that_are_wanted_and_takes_turns_in_little_memory() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
    let told = visitor.session().run(
        "return (async () => {
            const { load } = await import('./quintet.js');
            const two = await load('bundle/', { folds: 2 });
            const few = await two.classify('I am so happy.');
            const count = two.folds;
            two.dispose();
            return { count, few };
        })()",
        Value::Null,
    );
    assert_eq!(told["count"], 2);
    let last = visitor.a_shard_of_the_last_fold();
    assert_eq!(visitor.requested_of(std::slice::from_ref(&last)), [""; 0]);
    let all = visitor.session().run(
        "return (async () => {
            const { load } = await import('./quintet.js');
            // One fold at a time.
            const little = await load('bundle/', { memory: 1 });
            const all = await little.classify('I am so happy.');
            little.dispose();
            const other = await load('bundle/');
            return [all, await other.classify('I am so happy.')];
        })()",
        Value::Null,
    );
    assert_eq!(all[0], all[1], "in turns as at once");
    let folds = |answer: &Value| answer["labels"]["joy"]["folds"].as_array().unwrap().clone();
    assert_eq!(folds(&told["few"]), folds(&all[0])[..2]);
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_inline_entry_of_the_package_needs_no_other_file_and_may_lie_on_another_site() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = ready();
    let elsewhere = Server::start_for_all_sites(0, &[("/", &visitor.site.package)]).unwrap();
    visitor.session().open(&format!("{}README.md", visitor.url()));
    let told = visitor.session().run(
        "return (async () => {
            const answer = async (entry) => {
                const { load } = await import(entry);
                const ensemble = await load('bundle/');
                const answer = await ensemble.classify('I am so happy.');
                ensemble.dispose();
                return answer;
            };
            const inline = await answer(arguments[0] + 'inline.js');
            const asked = performance.getEntriesByType('resource').map(({ name }) => name);
            return { inline, asked, plain: await answer('./quintet.js') };
        })()",
        json!(elsewhere.url()),
    );
    assert_eq!(told["inline"], told["plain"]);
    let asked: Vec<String> = serde_json::from_value(told["asked"].clone()).unwrap();
    assert!(asked.iter().any(|name| name.ends_with("/inline_parts.js")), "{asked:?}");
    assert!(
        !asked.iter().any(|name| name.ends_with(".wasm") || name.contains("worker")),
        "{asked:?}"
    );
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_says_that_a_bundle_has_no_final_model() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
    let told = visitor.run_module(
        "   import { load } from './quintet.js';
            const code = await load('bundle/', { models: 'final' }).catch(error => error.code);
            const folds = await load('bundle/', { models: 'final-then-folds' });
            tell([code, folds.hasFinalModel, (await folds.classify('I am so happy.')).models]);",
    );
    assert_eq!(told, json!(["bundle", false, "folds"]));
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_rejects_with_a_code_and_a_remedy() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
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

/// The worker's promise was rejected there, of which the page heard nothing.
#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_rejects_when_its_worker_cannot_be_set_up() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
    visitor.server.set_fault("/worker_bg.wasm", Fault::Status(500));
    let code = visitor.session().run(
        "return import('./quintet.js').then(({ load }) => load('bundle/'))
            .then(() => 'loaded', error => error.code)",
        Value::Null,
    );
    assert_eq!(code, "worker-died");
    visitor.leave_despite(&["network", "javascript"]);
}

/// The pool reported within a call that it was borrowed for.
#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_package_may_be_disposed_of_by_its_own_callback() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = beside_a_final_model();
    let told = visitor.run_module(
        "   import { load } from './quintet.js';
            let act = () => {};
            const ensemble = await load('bundle/', { models: 'final', onProgress: () => act() });
            let thrown = 'none';
            act = () => {
                try { ensemble.dispose(); } catch (error) { thrown = String(error); }
            };
            const code = ({ code }) => code;
            tell([await ensemble.loadFolds().catch(code), thrown, await ensemble.classify('').catch(code)]);",
    );
    assert_eq!(told, json!(["disposed", "none", "disposed"]));
    visitor.leave_a_broken_host();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_javascript_of_the_documents_runs() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = on_a_page();
    let blocks = docs::blocks(&Workspace::find(), "js").unwrap();
    assert!(!blocks.is_empty());
    for (place, code) in blocks {
        // A page without a bundler imports by address.
        let code = code.replace("from \"quintet\"", "from \"./quintet.js\"");
        assert_eq!(visitor.run_module(&format!("{code}\ntell('done');")), "done", "{place}");
    }
    visitor.leave_a_broken_host();
}
