//! The worker: it loads folds, one at a time, and classifies.
//!
//! [`session`] holds the models and uses no browser; [`fetch`] downloads their shards. While loading waits for
//! the network, the worker classifies with the folds it has.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Uint8Array;
use shared::bundle::{OpenShard, Shard};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent, console};

use crate::failure::Failure;
use crate::http::{Cancel, Freshness};
use crate::protocol::{self, FromWorker, ToWorker};
use crate::{browser, cache};

pub mod fetch;
pub mod session;

use fetch::Download;
use session::Session;

/// Listens until the page terminates this worker.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| console::error_1(&panic.to_string().into())));
    let worker = Rc::new(Worker::default());
    let listening = Rc::clone(&worker);
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let message = event.data().as_string().and_then(|text| protocol::decode(&text));
        listening.receive(message.expect("page and worker are of one version"));
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The listener lives as long as the worker.
    on_message.forget();
    post(&FromWorker::Ready);
}

/// Reports that memory ran out. The message is a constant, as there is no memory to encode one.
pub fn report_out_of_memory() {
    drop(scope().post_message(&JsValue::from_str("\"OutOfMemory\"")));
}

#[derive(Default)]
struct Worker {
    session: RefCell<Option<Session>>,
    base_url: RefCell<String>,
    cancel: Cancel,
    /// The index of a shard whose download broke off, with the bytes received.
    unfinished: RefCell<Option<(usize, Download)>>,
    is_uncached: Cell<bool>,
}

impl Worker {
    fn receive(self: &Rc<Self>, message: ToWorker) {
        match message {
            ToWorker::Open { base_url, manifest } => {
                let session = Session::new(&manifest);
                *self.base_url.borrow_mut() = base_url;
                *self.session.borrow_mut() =
                    Some(session.expect("the page has read this manifest"));
            }
            ToWorker::Load { fold } => {
                self.with_session(|session| session.begin(fold));
                self.load(move |loaded| match loaded {
                    Ok(()) => FromWorker::Loaded { fold },
                    Err(failure) => FromWorker::Failed { fold, failure },
                });
            }
            ToWorker::LoadCold { fold } => {
                self.with_session(|session| session.begin_cold(fold));
                self.load(move |loaded| match loaded {
                    Ok(()) => FromWorker::ColdLoaded { fold },
                    Err(failure) => FromWorker::ColdFailed { fold, failure },
                });
            }
            ToWorker::CancelLoading => self.cancel.cancel(),
            ToWorker::Unload { fold } => self.with_session(|session| session.unload(fold)),
            ToWorker::Classify { ticket, fold, texts } => {
                let answers = self.with_session(|session| session.classify(fold, &texts));
                post(&match answers {
                    Ok(answers) => FromWorker::Answer { ticket, fold, answers },
                    Err(failure) => FromWorker::Failed { fold, failure },
                });
            }
        }
    }

    /// Loads what the session has begun and posts the result.
    fn load(self: &Rc<Self>, told: impl FnOnce(Result<(), Failure>) -> FromWorker + 'static) {
        self.cancel.reset();
        let worker = Rc::clone(self);
        spawn_local(async move { post(&told(worker.load_begun().await)) });
    }

    async fn load_begun(&self) -> Result<(), Failure> {
        while let Some((index, shard)) = self.with_session(|session| session.next_shard()) {
            let open = self.shard(index, &shard).await?;
            self.with_session(|session| session.take(index, &open))?;
        }
        self.with_session(Session::finish)
    }

    /// A verified shard, from the cache or from the site.
    async fn shard(&self, index: usize, shard: &Shard) -> Result<OpenShard, Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        if let Some(bytes) = cache::read(shard).await {
            if let Ok(open) = open(shard, bytes).await {
                post(&FromWorker::Taken { shard: index, cached: true });
                return Ok(open);
            }
            cache::remove(shard).await;
        }
        // Shards that our own cache keeps need not be in the browser's HTTP cache as well.
        let freshness =
            if self.is_uncached.get() { Freshness::Stored } else { Freshness::Bypassed };
        let (open, copy) = match self.download(index, shard, freshness).await {
            // Try once from the start: the file may have been damaged on the way.
            Err(Failure::Corrupted { .. }) => {
                self.unfinished.borrow_mut().take();
                self.download(index, shard, Freshness::Bypassed).await?
            }
            other => other?,
        };
        let cached = self.keep(shard, &copy).await;
        post(&FromWorker::Taken { shard: index, cached });
        Ok(open)
    }

    /// Downloads a shard; returns it opened, and as a copy outside this module's memory for the cache.
    async fn download(
        &self,
        index: usize,
        shard: &Shard,
        freshness: Freshness,
    ) -> Result<(OpenShard, Uint8Array), Failure> {
        let unfinished = self.unfinished.borrow_mut().take();
        let mut download = match unfinished {
            Some((begun, download)) if begun == index => download,
            _ => Download::new(shard),
        };
        let url = format!("{}{}", self.base_url.borrow(), shard.file_name());
        let progress = |received| post(&FromWorker::Progress { shard: index, received });
        let whole = fetch::run(&mut download, &url, freshness, &self.cancel, progress).await;
        if let Err(failure) = whole {
            *self.unfinished.borrow_mut() = Some((index, download));
            return Err(failure);
        }
        let bytes = download.into_bytes();
        let copy = Uint8Array::new_from_slice(&bytes);
        Ok((open(shard, bytes).await?, copy))
    }

    async fn keep(&self, shard: &Shard, bytes: &Uint8Array) -> bool {
        // Node's: a file of this machine is as near as a cache would be.
        if self.base_url.borrow().starts_with("file:") {
            return true;
        }
        if self.is_uncached.get() {
            return false;
        }
        match cache::write(shard, bytes).await {
            Ok(()) => true,
            Err(reason) => {
                self.is_uncached.set(true);
                post(&FromWorker::NotCached { reason });
                false
            }
        }
    }

    fn with_session<T>(&self, work: impl FnOnce(&mut Session) -> T) -> T {
        work(self.session.borrow_mut().as_mut().expect("the page opens the bundle first"))
    }
}

/// Verifies a shard, if possible with the browser's sha256, which takes a tenth of the time of ours.
async fn open(shard: &Shard, bytes: Vec<u8>) -> Result<OpenShard, Failure> {
    Ok(match browser::sha256(&bytes).await {
        Some(hash) => shard.open_hashed(bytes, hash)?,
        None => shard.open(bytes)?,
    })
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

fn post(message: &FromWorker) {
    // Posting a string cannot fail.
    drop(scope().post_message(&protocol::encode(message).into()));
}
