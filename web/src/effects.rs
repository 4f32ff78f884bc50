//! Carries out the state's effects: timers, the pool of models, files, the clipboard.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Array, Reflect};
use leptos::prelude::{set_timeout, window};
use shared::bundle::{Integrity, Manifest};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Blob, BlobPropertyBag, Clipboard, File, HtmlAnchorElement, ServiceWorkerContainer, Url,
};

use crate::cache;
use crate::chosen_file::Blocks;
use crate::failure::Failure;
use crate::manifest::fetch_manifest;
use crate::models::Models;
use crate::pool::{Pool, PoolEvent, Settings};
use crate::preference;
use crate::source::Source;
use crate::state::{
    BundleSummary, ComposerEvent, Effect, Event, FoldsToLoad, ManyEvent, ModelEvent, table_parts,
};
use crate::store::Store;
use crate::texts_file::{Problem, TextsFile, TextsReader};

/// The folder of the bundle, relative to the page, unless [`SETTING`] names another one.
const BUNDLE: &str = "bundle/";

/// Bytes of a file from one report of its progress to the next.
const PROGRESS_STEP: u64 = 2_000_000;

/// The name of the file with the table of many texts.
const TABLE: &str = "quintet.csv";

/// The element of the page that says where the bundle is, and its attribute with the integrity of the manifest.
/// `cargo xtask page` writes it.
const SETTING: (&str, &str) = ("meta[name=quintet-bundle]", "data-integrity");

/// Carries out effects. It holds what they need besides the state: the manifest and the pool of models.
#[derive(Default)]
pub struct EffectRunner {
    manifest: RefCell<Option<Rc<Manifest>>>,
    pool: RefCell<Option<Pool>>,
}

impl EffectRunner {
    pub fn carry_out(self: &Rc<Self>, store: Store, effect: Effect) {
        match effect {
            Effect::FetchManifest => self.fetch_manifest(store),
            Effect::WatchShell => watch_shell(store),
            Effect::StartPool => self.start_pool(store),
            Effect::LoadFolds => self.with_pool(Pool::load_folds),
            Effect::RememberModels { chosen } => {
                if let Ok(source) = source() {
                    preference::write(source.folder(), chosen);
                }
            }
            Effect::CancelLoading => self.with_pool(Pool::cancel_loading),
            Effect::RetryLoading => self.with_pool(Pool::retry),
            Effect::Rest => self.with_pool(Pool::rest),
            Effect::Wake => self.with_pool(Pool::wake),
            Effect::Classify { request, texts, models } => {
                self.with_pool(|pool| pool.classify(request, texts, models));
            }
            Effect::CancelRequest { request } => self.with_pool(|pool| pool.cancel(request)),
            Effect::Wait { timer, sequence, milliseconds } => set_timeout(
                move || store.send(Event::Elapsed { timer, sequence }),
                Duration::from_millis(u64::from(milliseconds)),
            ),
            Effect::ReadCacheSize => read_cache_size(store),
            Effect::ClearCache => self.clear_cache(store),
            Effect::ReadFile { file } => read_file(store, file),
            Effect::SaveTable => save_table(store),
            Effect::SetFragment { fragment } => set_fragment(&fragment),
            Effect::CopyLink { fragment } => copy_link(store, fragment),
        }
    }

    fn with_pool(&self, act: impl FnOnce(&Pool)) {
        if let Some(pool) = &*self.pool.borrow() {
            act(pool);
        }
    }

    fn fetch_manifest(self: &Rc<Self>, store: Store) {
        let runner = Rc::clone(self);
        spawn_local(async move {
            let event = runner.manifest_arrived().await.unwrap_or_else(ModelEvent::StartFailed);
            store.send(Event::Model(event));
        });
    }

    async fn manifest_arrived(&self) -> Result<ModelEvent, Failure> {
        let source = source()?;
        let manifest = fetch_manifest(&source).await?;
        let (to_download, then) = to_download(&source, &manifest).await;
        let bundle = Box::new(BundleSummary::of(&manifest, source.other_site()));
        *self.manifest.borrow_mut() = Some(Rc::new(manifest));
        Ok(ModelEvent::ManifestArrived { bundle, to_download, then })
    }

    fn start_pool(&self, store: Store) {
        let manifest = self.manifest.borrow().clone().expect("started after the manifest came");
        // The folds of a bundle with a final model follow when they are wanted.
        let started = source().and_then(|source| {
            Pool::start(&source, manifest, Settings::of_page(Models::Final), move |event| {
                store.send(translated(event));
            })
        });
        match started {
            Ok(pool) => *self.pool.borrow_mut() = Some(pool),
            Err(failure) => store.send(Event::Model(ModelEvent::StartFailed(failure))),
        }
    }

    fn clear_cache(self: &Rc<Self>, store: Store) {
        let runner = Rc::clone(self);
        spawn_local(async move {
            cache::clear().await;
            preference::forget_limit();
            runner.with_pool(Pool::cache_cleared);
            store.send(Event::Model(ModelEvent::CacheCleared));
        });
    }
}

/// Where the bundle is.
fn source() -> Result<Source, Failure> {
    let setting =
        window().document().and_then(|page| page.query_selector(SETTING.0).ok().flatten());
    let Some(setting) = setting else { return Source::new(BUNDLE, None) };
    let integrity = setting.get_attribute(SETTING.1).as_deref().and_then(Integrity::parse);
    Source::new(&setting.get_attribute("content").unwrap_or_default(), integrity)
}

/// The page's event for an event of the pool.
fn translated(event: PoolEvent) -> Event {
    Event::Model(match event {
        PoolEvent::Answer { request, fold, answers } => {
            return Event::Answer { request, fold, answers };
        }
        PoolEvent::NeedsCold { request, fold } => return Event::NeedsCold { request, fold },
        PoolEvent::Progress { received, total } => {
            ModelEvent::Progress { received, total, now: now() }
        }
        PoolEvent::FoldReady { fold } => ModelEvent::FoldReady { fold },
        PoolEvent::ColdLoaded { fold } => ModelEvent::ColdLoaded { fold },
        PoolEvent::ColdFailed { failure, .. } => ModelEvent::ColdFailed(failure),
        PoolEvent::FoldFailed { fold, failure } => ModelEvent::FoldFailed { fold, failure },
        PoolEvent::WorkerRestarted { fold } => ModelEvent::WorkerRestarted { fold },
        PoolEvent::NotCached { reason } => ModelEvent::NotCached { reason },
        PoolEvent::OutOfMemory => ModelEvent::OutOfMemory,
    })
}

/// Milliseconds since the page was opened.
fn now() -> f64 {
    window().performance().map_or_else(js_sys::Date::now, |clock| clock.now())
}

/// The bytes that are not in the cache of the models that the page begins with; and the folds, if these are not
/// the folds.
async fn to_download(source: &Source, manifest: &Manifest) -> (u64, Option<FoldsToLoad>) {
    let cached = cache::present(manifest.shards()).await;
    let first = manifest.final_model().map(|model| manifest.shards_of(model));
    let (mut to_download, mut bytes) = (0, 0);
    for (index, shard) in manifest.shards().iter().enumerate().filter(|&(index, _)| !cached[index])
    {
        let is_first = first.as_ref().is_none_or(|first| first.contains(&index));
        *if is_first { &mut to_download } else { &mut bytes } += shard.bytes;
    }
    let then = first.map(|_| FoldsToLoad { bytes, chosen: preference::read(source.folder()) });
    (to_download, then)
}

/// Reports when the service worker is active, as it has then saved the page itself.
fn watch_shell(store: Store) {
    let Some(container) = navigator_property::<ServiceWorkerContainer>("serviceWorker") else {
        return;
    };
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

fn read_file(store: Store, number: u32) {
    let Some(file) = store.chosen_file() else { return };
    spawn_local(async move {
        if let Some(outcome) = texts_of(store, &file, number).await {
            store.send(Event::Many(ManyEvent::FileRead { file: number, outcome }));
        }
    });
}

/// The texts of the file; `None` if the visitor does not want them any more.
async fn texts_of(store: Store, file: &File, number: u32) -> Option<Result<TextsFile, Problem>> {
    let unreadable = |error| Problem::unreadable(&file.name(), &reason_of(&error));
    let blocks = match Blocks::of(file).await {
        Ok(blocks) => blocks,
        Err(error) => return Some(Err(unreadable(error))),
    };
    let mut reader = TextsReader::new(&file.name());
    let mut told = 0;
    loop {
        match blocks.next().await {
            Ok(None) => return Some(reader.finish()),
            Ok(Some(block)) => {
                if let Err(problem) = reader.push(&block) {
                    return Some(Err(problem));
                }
            }
            Err(error) => return Some(Err(unreadable(error))),
        }
        if !store.peek(|state| state.many.is_reading(number)) {
            return None;
        }
        let received = reader.received();
        if received >= told + PROGRESS_STEP {
            told = received;
            store.send(Event::Many(ManyEvent::FileProgress { file: number, received }));
        }
    }
}

fn reason_of(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.unwrap_or_else(|| "no reason given".to_owned())
}

/// Saves the table by clicking a link to its content.
fn save_table(store: Store) {
    let saved = store.peek(|state| {
        let (table, bundle) = (state.many.job.table()?, state.model.bundle.as_ref()?);
        Some(save(TABLE, table_parts(table, bundle)))
    });
    if let Some(saved) = saved {
        saved.expect("a browser that runs this can save strings as a file");
    }
}

/// Saves a file whose content is these parts. Each becomes a blob of its own, which need not stay in memory.
fn save(name: &str, parts: impl Iterator<Item = String>) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type("text/csv;charset=utf-8");
    let blobs = Array::new();
    for part in parts {
        let blob = Blob::new_with_str_sequence(&Array::of1(&JsValue::from_str(&part)))?;
        blobs.push(&blob.into());
    }
    let url = Url::create_object_url_with_blob(&Blob::new_with_blob_sequence_and_options(
        &blobs, &options,
    )?)?;
    let document = window().document().expect("a page has a document");
    let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    // Later, because the browser reads the content after the click.
    set_timeout(
        move || {
            let _ = Url::revoke_object_url(&url);
        },
        Duration::from_secs(60),
    );
    Ok(())
}

/// Replaces the address instead of adding one, so that the back button skips shared texts.
fn set_fragment(fragment: &str) {
    let history = window().history().expect("a page has a history");
    // The browser refuses when this happens too often or the address has megabytes; it then stays as it was.
    let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("#{fragment}")));
}

fn copy_link(store: Store, fragment: String) {
    spawn_local(async move {
        let address = window().location().href().unwrap_or_default();
        let (page, in_address) = address.split_once('#').unwrap_or((&address, ""));
        // The address may have refused the text.
        let link = format!("{page}#{fragment}");
        let is_copied = match navigator_property::<Clipboard>("clipboard") {
            Some(clipboard) => JsFuture::from(clipboard.write_text(&link)).await.is_ok(),
            None => false,
        };
        let event = match is_copied {
            true => ComposerEvent::LinkCopied,
            false if in_address == fragment => ComposerEvent::LinkNotCopied,
            false => ComposerEvent::LinkRefused,
        };
        store.send(Event::Composer(event));
    });
}

/// A property of `navigator`. Some exist only on pages that came by https, and not in every browser.
fn navigator_property<T: JsCast>(name: &str) -> Option<T> {
    Reflect::get(&window().navigator(), &JsValue::from_str(name)).ok()?.dyn_into().ok()
}
