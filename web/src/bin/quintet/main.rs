//! The JavaScript package: `load`, `classify`, `explain`, `dispose`.
//!
//! The pool, the workers and the cache are those of the page; this program turns their events into promises. The
//! package's other files are in `web/package`, among them the types for its users; `cargo xtask package` builds it.

use std::rc::Rc;

use shared::bundle::Integrity;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web::failure::Failure;
use web::manifest::fetch_manifest;
use web::models::Models;
use web::pool::Pool;
use web::source::Source;

mod ensemble;
mod host;
mod js;
mod pending;

use ensemble::{Inner, JsEnsemble};
use js::{Aborting, Settle, argument, error, property, throw_if_aborted};

/// Does nothing: the program consists of its exports.
fn main() {}

/// `host` is what the package's own JavaScript knows of where it runs (see [`host`]).
#[wasm_bindgen(js_name = load)]
pub async fn load(url: String, options: JsValue, host: JsValue) -> Result<JsEnsemble, JsValue> {
    let on_progress = js::function(&options, "onProgress")?;
    let signal = js::signal_not_aborted(&options)?;
    let wanted = wanted(&options)?;
    let memory = js::count(&options, "memory", "a number of bytes")?;
    let folds = js::count(&options, "folds", "a number of folds")?;
    host::prepare(&host);
    let source = Source::new(&url, integrity(&options)?).map_err(|failure| error(&failure))?;
    let fetched = fetch_manifest(&source).await;
    throw_if_aborted(signal.as_ref())?;
    let manifest = fetched.map_err(|failure| error(&failure))?;
    let manifest = Rc::new(match folds {
        Some(count) => manifest.first_folds(count as usize).map_err(|e| error(&e.into()))?,
        None => manifest,
    });

    let models = match (wanted, manifest.final_model()) {
        (Models::Final, None) => {
            let reason = "it has no final model".to_owned();
            return Err(error(&Failure::Bundle { reason }));
        }
        (_, None) => Models::Folds,
        (models, Some(_)) => models,
    };
    let loaded = Settle::new();
    let promise = loaded.promise.clone();
    let inner = Rc::new(Inner::new(Rc::clone(&manifest), models, on_progress, loaded));
    let listening = Rc::downgrade(&inner);
    let settings = host::settings(&host, models, memory);
    let pool = Pool::start(&source, manifest, settings, move |event| {
        if let Some(inner) = listening.upgrade() {
            inner.receive(event);
        }
    });
    inner.started(pool.map_err(|failure| error(&failure))?);
    let ending = Rc::downgrade(&inner);
    let _aborting = signal.map(|signal| {
        Aborting::new(signal, move |reason| {
            if let Some(inner) = ending.upgrade() {
                inner.end(reason);
            }
        })
    });
    JsFuture::from(promise).await?;
    Ok(JsEnsemble::new(inner))
}

/// The option `integrity`.
fn integrity(options: &JsValue) -> Result<Option<Integrity>, JsValue> {
    let Some(given) = property(options, "integrity") else { return Ok(None) };
    match given.as_string().as_deref().and_then(Integrity::parse) {
        Some(integrity) => Ok(Some(integrity)),
        None => Err(argument(
            "the option `integrity` is \"sha256-\" and a hash in base64, as `native-train inspect` prints it",
        )),
    }
}

/// The option `models`.
fn wanted(options: &JsValue) -> Result<Models, JsValue> {
    let Some(wanted) = property(options, "models") else { return Ok(Models::Folds) };
    match wanted.as_string().as_deref() {
        Some("folds") => Ok(Models::Folds),
        Some("final") => Ok(Models::Final),
        Some("final-then-folds") => Ok(Models::Both),
        _ => Err(argument("the option `models` is \"folds\", \"final\" or \"final-then-folds\"")),
    }
}

#[wasm_bindgen(js_name = cacheSize)]
pub async fn cache_size() -> f64 {
    web::cache::size().await as f64
}

#[wasm_bindgen(js_name = clearCache)]
pub async fn clear_cache() {
    web::cache::clear().await;
}
