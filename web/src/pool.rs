//! The ensemble as the page sees it: one object that loads folds and answers by events.
//!
//! What to do is decided in [`schedule`], which knows no browser and is tested natively; this file
//! starts the workers, carries messages and reports. [`plan`] shares the folds among workers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use shared::bundle::{Manifest, TextAnswer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{ErrorEvent, MessageEvent};

use crate::browser;
use crate::cache;
use crate::failure::Failure;
use crate::protocol::{self, ToWorker};

pub mod plan;
mod schedule;
mod support;

use plan::Machine;
use schedule::{Action, Scheduler, ShardsOfFold};

/// What the pool reports. Folds are counted from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolEvent {
    /// Bytes of distinct shards at hand, of all that the ensemble needs. Never goes back.
    Progress { received: u64, total: u64 },
    /// A fold can answer, if not texts with rare words yet. It comes again when its worker was restarted.
    FoldReady { fold: usize },
    /// A fold that could not before answers every text. As with [`FoldReady`](Self::FoldReady), it may come again.
    FoldWhole { fold: usize },
    /// A text of the request waits until the fold is whole. Comes once a fold at most.
    RareWords { request: u32, fold: usize },
    /// What a fold says of a request's texts, in their order.
    Answer { request: u32, fold: usize, answers: Vec<TextAnswer> },
    /// A fold will not answer before [`Pool::retry`].
    FoldFailed { fold: usize, failure: Failure },
    /// A fold will not be whole before [`Pool::retry`], and answers on; texts with rare words wait.
    ColdFailed { fold: usize, failure: Failure },
    /// The model works, but will be fetched again on the next visit. Comes once at most.
    NotCached { reason: String },
    /// A fold's worker died and was started again.
    WorkerRestarted { fold: usize },
}

/// The workers of one ensemble. Dropping it terminates them.
pub struct Pool {
    shared: Rc<Shared>,
}

impl Pool {
    /// Starts to load the ensemble whose manifest was fetched from the folder `base_url` (see
    /// [`fetch_manifest`](crate::manifest::fetch_manifest)). Events come later, never within this call.
    ///
    /// # Errors
    /// If this browser cannot run it at all.
    pub fn start(
        base_url: String,
        manifest: Rc<Manifest>,
        on_event: impl Fn(PoolEvent) + 'static,
    ) -> Result<Self, Failure> {
        support::check()?;
        let base_url = browser::folder_url(&base_url)?;
        let shared = Rc::new(Shared {
            scheduler: RefCell::new(scheduler(&manifest)),
            manifest: manifest.to_json(),
            base_url,
            on_event: Box::new(on_event),
            workers: RefCell::default(),
            actions: RefCell::default(),
            is_acting: Cell::new(false),
        });
        let starting = Rc::downgrade(&shared);
        spawn_local(async move {
            let cached = cache::present(manifest.shards()).await;
            if let Some(shared) = starting.upgrade() {
                shared.step(|scheduler| scheduler.start(cached));
            }
        });
        Ok(Self { shared })
    }

    /// Asks every fold. Each answers by an event of its own as soon as it can; one that is still
    /// being loaded, when it is. Requests of one text go before longer ones.
    pub fn classify(&self, request: u32, texts: Vec<String>) {
        self.shared.step(|scheduler| scheduler.classify(request, texts));
    }

    /// Forgets a request: no event of it comes any more. What a worker is in the middle of ends
    /// unheard, within a few texts.
    pub fn cancel(&self, request: u32) {
        self.shared.step(|scheduler| scheduler.cancel(request));
    }

    /// Stops loading: each fold that is not ready fails with [`Failure::Cancelled`], and so do the cold rows of others.
    pub fn cancel_loading(&self) {
        self.shared.step(Scheduler::cancel_loading);
    }

    /// Tries the failed folds, and cold rows, again, going on with what has arrived.
    pub fn retry(&self) {
        self.shared.step(Scheduler::retry);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Nothing more is reported: the page may drop it in the midst of an event.
        self.shared.actions.borrow_mut().clear();
        self.shared.step(Scheduler::stop);
    }
}

/// What the pool and its workers' event handlers share.
struct Shared {
    scheduler: RefCell<Scheduler>,
    manifest: String,
    base_url: String,
    on_event: Box<dyn Fn(PoolEvent)>,
    workers: RefCell<Vec<Option<Handle>>>,
    actions: RefCell<VecDeque<Action>>,
    is_acting: Cell<bool>,
}

/// A running worker and what listens to it.
struct Handle {
    worker: web_sys::Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Shared {
    /// Lets the scheduler take a step and does what it asks for. A step taken within an event
    /// handler of the page is carried out after what is being carried out.
    fn step(self: &Rc<Self>, step: impl FnOnce(&mut Scheduler) -> Vec<Action>) {
        let actions = step(&mut self.scheduler.borrow_mut());
        self.actions.borrow_mut().extend(actions);
        if self.is_acting.replace(true) {
            return;
        }
        loop {
            // A statement of its own: the borrow must end before the action begins.
            let action = self.actions.borrow_mut().pop_front();
            let Some(action) = action else { break };
            self.act(action);
        }
        self.is_acting.set(false);
    }

    fn act(self: &Rc<Self>, action: Action) {
        match action {
            Action::Spawn { worker } => self.spawn(worker),
            Action::Open { worker } => {
                let (base_url, manifest) = (self.base_url.clone(), self.manifest.clone());
                self.send(worker, &ToWorker::Open { base_url, manifest });
            }
            Action::Send { worker, message } => self.send(worker, &message),
            Action::Terminate { worker } => drop(self.replace(worker, None)),
            Action::Report(event) => (self.on_event)(event),
        }
    }

    fn spawn(self: &Rc<Self>, index: usize) {
        // The old one first: two would need its memory twice.
        drop(self.replace(index, None));
        match Handle::start(Rc::downgrade(self), index) {
            Ok(handle) => drop(self.replace(index, Some(handle))),
            Err(failure) => self.step(|scheduler| scheduler.worker_died(index, failure)),
        }
    }

    fn send(&self, worker: usize, message: &ToWorker) {
        if let Some(Some(handle)) = self.workers.borrow().get(worker) {
            // A string can always be cloned.
            drop(handle.worker.post_message(&protocol::encode(message).into()));
        }
    }

    fn replace(&self, index: usize, handle: Option<Handle>) -> Option<Handle> {
        let mut workers = self.workers.borrow_mut();
        if workers.len() <= index {
            workers.resize_with(index + 1, || None);
        }
        std::mem::replace(&mut workers[index], handle)
    }
}

impl Handle {
    fn start(shared: Weak<Shared>, index: usize) -> Result<Self, Failure> {
        let worker = support::module_worker(&browser::beside_module(SCRIPT)?)?;
        let to_step = shared.clone();
        let on_message = Closure::new(move |event: MessageEvent| {
            let Some(shared) = to_step.upgrade() else { return };
            let message = event.data().as_string().and_then(|text| protocol::decode(&text));
            shared.step(|scheduler| match message {
                Some(message) => scheduler.message(index, message),
                // A worker of another version of the site, from the browser's HTTP cache say.
                None => scheduler.worker_died(index, Failure::WorkerDied),
            });
        });
        let on_error = Closure::new(move |event: ErrorEvent| {
            if let Some(shared) = shared.upgrade() {
                let failure = support::cause_of_death(&event);
                shared.step(|scheduler| scheduler.worker_died(index, failure));
            }
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // What it has posted already must not reach a handler that is gone.
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

/// The worker's module, beside the page's: see `bin/worker.rs`.
const SCRIPT: &str = "worker_loader.js";

fn scheduler(manifest: &Manifest) -> Scheduler {
    let folds = 0..manifest.folds();
    let resident: Vec<u64> = folds.clone().map(|fold| manifest.resident_bytes(fold)).collect();
    let shards_of = folds.map(|fold| ShardsOfFold {
        hot: manifest.hot_shards_of(fold),
        cold: manifest.cold_shards_of(fold),
    });
    let bytes: Vec<u64> = manifest.shards().iter().map(|shard| shard.bytes).collect();
    let machine = Machine::here();
    let shares = plan::plan(&resident, manifest.common_bytes(), &machine);
    Scheduler::new(shares, machine.cores, shards_of.collect(), &bytes)
}
