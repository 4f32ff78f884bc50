//! Carries out what the state asks for: timers, the pool of models, files, the clipboard.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Array, Reflect, Uint8Array};
use leptos::prelude::{set_timeout, window};
use shared::bundle::Manifest;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, BlobPropertyBag, Clipboard, HtmlAnchorElement, ServiceWorkerContainer, Url};

use crate::cache;
use crate::manifest::fetch_manifest;
use crate::pool::{Pool, PoolEvent};
use crate::state::{ComposerEvent, Effect, Ensemble, Event, ManyEvent, ModelEvent};
use crate::store::Store;

/// Where the page's bundle lies, relative to the page.
const BUNDLE: &str = "bundle/";

/// What effects need beyond the state: the models themselves.
#[derive(Default)]
pub struct Hands {
    manifest: RefCell<Option<Rc<Manifest>>>,
    pool: RefCell<Option<Pool>>,
}

impl Hands {
    pub fn carry_out(self: &Rc<Self>, store: Store, effect: Effect) {
        match effect {
            Effect::FetchManifest => self.fetch_manifest(store),
            Effect::WatchShell => watch_shell(store),
            Effect::StartPool => self.start_pool(store),
            Effect::CancelLoading => self.with_pool(Pool::cancel_loading),
            Effect::RetryLoading => self.with_pool(Pool::retry),
            Effect::Classify { request, texts } => {
                self.with_pool(|pool| pool.classify(request, texts));
            }
            Effect::CancelRequest { request } => self.with_pool(|pool| pool.cancel(request)),
            Effect::Wait { timer, sequence, milliseconds } => set_timeout(
                move || store.send(Event::Elapsed { timer, sequence }),
                Duration::from_millis(u64::from(milliseconds)),
            ),
            Effect::ReadCacheSize => read_cache_size(store),
            Effect::ClearCache => clear_cache(store),
            Effect::ReadFile => read_file(store),
            Effect::Download { name, content } => download(&name, &content),
            Effect::SetFragment { fragment } => set_fragment(&fragment),
            Effect::CopyLink => copy_link(store),
        }
    }

    fn with_pool(&self, act: impl FnOnce(&Pool)) {
        if let Some(pool) = &*self.pool.borrow() {
            act(pool);
        }
    }

    fn fetch_manifest(self: &Rc<Self>, store: Store) {
        let hands = Rc::clone(self);
        spawn_local(async move {
            let event = match fetch_manifest(BUNDLE).await {
                Ok(manifest) => {
                    let event = ModelEvent::ManifestArrived {
                        ensemble: Box::new(Ensemble::from(&manifest)),
                        to_download: to_download(&manifest).await,
                    };
                    *hands.manifest.borrow_mut() = Some(Rc::new(manifest));
                    event
                }
                Err(failure) => ModelEvent::StartFailed(failure),
            };
            store.send(Event::Model(event));
        });
    }

    fn start_pool(&self, store: Store) {
        let manifest = self.manifest.borrow().clone().expect("started after the manifest came");
        let started = Pool::start(BUNDLE.to_owned(), manifest, move |event| {
            store.send(translated(event));
        });
        match started {
            Ok(pool) => *self.pool.borrow_mut() = Some(pool),
            Err(failure) => store.send(Event::Model(ModelEvent::StartFailed(failure))),
        }
    }
}

fn translated(event: PoolEvent) -> Event {
    Event::Model(match event {
        PoolEvent::Answer { request, fold, answers } => {
            return Event::Answer { request, fold, answers };
        }
        PoolEvent::RareWords { request, fold } => return Event::RareWords { request, fold },
        PoolEvent::Progress { received, total } => {
            ModelEvent::Progress { received, total, now: now() }
        }
        PoolEvent::FoldReady { fold } => ModelEvent::FoldReady { fold },
        PoolEvent::FoldWhole { fold } => ModelEvent::FoldWhole { fold },
        PoolEvent::ColdFailed { failure, .. } => ModelEvent::RareWordsFailed(failure),
        PoolEvent::FoldFailed { fold, failure } => ModelEvent::FoldFailed { fold, failure },
        PoolEvent::WorkerRestarted { fold } => ModelEvent::WorkerRestarted { fold },
        PoolEvent::NotCached { reason } => ModelEvent::NotCached { reason },
    })
}

/// Milliseconds since the page was opened.
fn now() -> f64 {
    window().performance().map_or_else(js_sys::Date::now, |clock| clock.now())
}

/// What the cache does not hold yet.
async fn to_download(manifest: &Manifest) -> u64 {
    let cached = cache::present(manifest.shards()).await;
    let shards = manifest.shards().iter().zip(cached);
    shards.filter(|(_, is_cached)| !is_cached).map(|(shard, _)| shard.bytes).sum()
}

/// A service worker that is active has kept the whole shell before.
fn watch_shell(store: Store) {
    let Some(container) = of_navigator::<ServiceWorkerContainer>("serviceWorker") else { return };
    spawn_local(async move {
        let Ok(ready) = container.ready() else { return };
        if JsFuture::from(ready).await.is_ok() {
            store.send(Event::Model(ModelEvent::ShellKept));
        }
    });
}

fn read_cache_size(store: Store) {
    spawn_local(async move {
        let bytes = cache::size().await;
        store.send(Event::Model(ModelEvent::CacheSize(bytes)));
    });
}

fn clear_cache(store: Store) {
    spawn_local(async move {
        cache::clear().await;
        store.send(Event::Model(ModelEvent::CacheCleared));
    });
}

fn read_file(store: Store) {
    let Some(file) = store.chosen_file() else { return };
    spawn_local(async move {
        let event = match JsFuture::from(file.array_buffer()).await {
            Ok(content) => ManyEvent::FileRead { content: Uint8Array::new(&content).to_vec() },
            Err(error) => ManyEvent::FileUnreadable { reason: reason_of(&error) },
        };
        store.send(Event::Many(event));
    });
}

fn reason_of(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.unwrap_or_else(|| "no reason given".to_owned())
}

/// By a link to the content, which the browser saves as a file when it is clicked.
fn download(name: &str, content: &str) {
    let options = BlobPropertyBag::new();
    options.set_type("text/csv;charset=utf-8");
    let parts = Array::of1(&JsValue::from_str(content));
    let link = || -> Result<(), JsValue> {
        let blob = Blob::new_with_str_sequence_and_options(&parts, &options)?;
        let url = Url::create_object_url_with_blob(&blob)?;
        let document = window().document().expect("a page has a document");
        let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
        anchor.set_href(&url);
        anchor.set_download(name);
        anchor.click();
        // Not at once: the browser reads the content after the click.
        set_timeout(
            move || {
                let _ = Url::revoke_object_url(&url);
            },
            Duration::from_secs(60),
        );
        Ok(())
    };
    link().expect("a browser that runs this can make a file of a string");
}

/// Replaces the address, so that the way back does not lead through every shared text.
fn set_fragment(fragment: &str) {
    let history = window().history().expect("a page has a history");
    // Refused when asked for too often, and for addresses of some megabytes: the link is then not new.
    let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("#{fragment}")));
}

fn copy_link(store: Store) {
    spawn_local(async move {
        let is_copied = match (address(), of_navigator::<Clipboard>("clipboard")) {
            (Some(address), Some(clipboard)) => {
                JsFuture::from(clipboard.write_text(&address)).await.is_ok()
            }
            _ => false,
        };
        let event =
            if is_copied { ComposerEvent::LinkCopied } else { ComposerEvent::LinkNotCopied };
        store.send(Event::Composer(event));
    });
}

fn address() -> Option<String> {
    window().location().href().ok()
}

/// What browsers offer only to pages that come by https, and some not at all.
fn of_navigator<T: JsCast>(name: &str) -> Option<T> {
    Reflect::get(&window().navigator(), &JsValue::from_str(name)).ok()?.dyn_into().ok()
}
