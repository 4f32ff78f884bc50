//! The pool of workers that hold the ensemble's folds: it loads them, classifies, and reports by events.
//!
//! `schedule` decides what to do, without a browser, so that it is tested natively. This file starts the
//! workers and passes messages. [`plan`] distributes the folds among workers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use shared::bundle::Manifest;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{ErrorEvent, MessageEvent};

use crate::browser;
use crate::cache;
use crate::failure::Failure;
use crate::models::Models;
use crate::preference;
use crate::protocol::{self, ToWorker};
use crate::source::Source;

mod event;
pub mod plan;
mod schedule;
mod support;

pub use event::PoolEvent;
use plan::Machine;
use schedule::{Action, Scheduler, ShardsOfFold};

/// What a pool begins with.
pub struct Settings {
    /// With both, the final model comes first. A bundle without a final model has folds alone.
    pub models: Models,
    pub machine: Machine,
    pub start_worker: StartWorker,
}

/// Starts a worker that runs `bin/worker.rs`, given its number.
pub type StartWorker = Box<dyn Fn(usize) -> Result<web_sys::Worker, Failure>>;

impl Settings {
    /// Those of a page whose worker lies beside its own module, on this machine.
    pub fn of_page(models: Models) -> Self {
        // An address for each: WebKit gives the answer to one to all that ask for the same at once, and only the first is then served
        // by the service worker. The others found nothing of what they import on a visit without a network.
        let start_worker = |worker| {
            let script = browser::beside_module(&format!("{SCRIPT}?worker={worker}"))?;
            support::module_worker(&script)
        };
        Self { models, machine: Machine::here(), start_worker: Box::new(start_worker) }
    }
}

/// The workers of an ensemble. Dropping the pool terminates them.
pub struct Pool {
    runtime: Rc<Runtime>,
}

impl Pool {
    /// Starts to load models whose manifest was fetched from `source` (see
    /// [`fetch_manifest`](crate::manifest::fetch_manifest)). No event is reported within this call.
    ///
    /// # Errors
    /// If this browser cannot run the ensemble.
    pub fn start(
        source: &Source,
        manifest: Rc<Manifest>,
        settings: Settings,
        on_event: impl Fn(PoolEvent) + 'static,
    ) -> Result<Self, Failure> {
        support::check()?;
        let (scheduler, planned_bytes) = scheduler(&manifest, &settings);
        let runtime = Rc::new(Runtime {
            scheduler: RefCell::new(scheduler),
            planned_bytes,
            manifest: manifest.to_json(),
            base_url: source.folder().to_owned(),
            on_event: Box::new(on_event),
            start_worker: settings.start_worker,
            workers: RefCell::default(),
            actions: RefCell::default(),
            is_acting: Cell::new(false),
        });
        let starting = Rc::downgrade(&runtime);
        spawn_local(async move {
            let cached = cache::present(manifest.shards()).await;
            if let Some(runtime) = starting.upgrade() {
                runtime.step(|scheduler| scheduler.start(cached));
            }
        });
        Ok(Self { runtime })
    }

    /// Gives the memory of the models back until they are asked again, or [`Pool::wake`]; not while they work, or if they
    /// are in no cache.
    pub fn rest(&self) {
        self.runtime.step(Scheduler::rest);
    }

    /// Loads the models that are at rest.
    pub fn wake(&self) {
        self.runtime.step(Scheduler::wake);
    }

    /// Loads the folds, too, after the final model.
    pub fn load_folds(&self) {
        self.runtime.step(Scheduler::load_folds);
    }

    /// Asks these models. Each answers by an event of its own, once it is loaded. Requests of one text go before
    /// longer ones.
    pub fn classify(&self, request: u32, texts: Vec<String>, models: Models) {
        self.runtime.step(|scheduler| scheduler.classify(request, texts, models));
    }

    /// Drops a request: no event about it follows. A worker finishes the few texts that it is classifying.
    pub fn cancel(&self, request: u32) {
        self.runtime.step(|scheduler| scheduler.cancel(request));
    }

    /// Stops loading: each fold that is not ready fails with [`Failure::Cancelled`], and so do cold rows.
    pub fn cancel_loading(&self) {
        self.runtime.step(Scheduler::cancel_loading);
    }

    /// Notes that the cache was emptied, so that no model leaves memory that would have to be downloaded again.
    pub fn cache_cleared(&self) {
        self.runtime.step(Scheduler::cache_cleared);
    }

    /// Loads failed folds and cold rows again, starting from what has been downloaded.
    pub fn retry(&self) {
        self.runtime.step(Scheduler::retry);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // No more events: the page may drop the pool within an event.
        self.runtime.actions.borrow_mut().clear();
        self.runtime.step(Scheduler::stop);
    }
}

/// The scheduler with the running workers; shared by the pool and the workers' event handlers.
struct Runtime {
    scheduler: RefCell<Scheduler>,
    manifest: String,
    base_url: String,
    /// The bytes of weights that are in memory at once by the plan.
    planned_bytes: u64,
    on_event: Box<dyn Fn(PoolEvent)>,
    start_worker: StartWorker,
    workers: RefCell<Vec<Option<RunningWorker>>>,
    actions: RefCell<VecDeque<Action>>,
    is_acting: Cell<bool>,
}

/// A running worker and its event handlers.
struct RunningWorker {
    worker: web_sys::Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Runtime {
    /// Lets the scheduler take a step and carries out its actions. Actions of a step that is taken within an
    /// event handler of the page wait for those under way.
    fn step(self: &Rc<Self>, step: impl FnOnce(&mut Scheduler) -> Vec<Action>) {
        let actions = step(&mut self.scheduler.borrow_mut());
        self.actions.borrow_mut().extend(actions);
        if self.is_acting.replace(true) {
            return;
        }
        loop {
            // A separate statement, so that the borrow ends before the action begins.
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
            Action::Report(event) => {
                if event == PoolEvent::OutOfMemory {
                    preference::limit_models(self.planned_bytes / 2);
                }
                (self.on_event)(event);
            }
        }
    }

    fn spawn(self: &Rc<Self>, index: usize) {
        // The old worker must go first: two at a time would need the memory of both.
        drop(self.replace(index, None));
        let started = (self.start_worker)(index);
        match started.map(|worker| RunningWorker::new(worker, Rc::downgrade(self), index)) {
            Ok(handle) => drop(self.replace(index, Some(handle))),
            Err(failure) => self.step(|scheduler| scheduler.worker_died(index, failure)),
        }
    }

    fn send(&self, worker: usize, message: &ToWorker) {
        if let Some(Some(handle)) = self.workers.borrow().get(worker) {
            // Posting a string cannot fail.
            drop(handle.worker.post_message(&protocol::encode(message).into()));
        }
    }

    fn replace(&self, index: usize, handle: Option<RunningWorker>) -> Option<RunningWorker> {
        let mut workers = self.workers.borrow_mut();
        if workers.len() <= index {
            workers.resize_with(index + 1, || None);
        }
        std::mem::replace(&mut workers[index], handle)
    }
}

impl RunningWorker {
    fn new(worker: web_sys::Worker, runtime: Weak<Runtime>, index: usize) -> Self {
        let listener = runtime.clone();
        let on_message = Closure::new(move |event: MessageEvent| {
            let Some(runtime) = listener.upgrade() else { return };
            let message = event.data().as_string().and_then(|text| protocol::decode(&text));
            runtime.step(|scheduler| match message {
                Some(message) => scheduler.message(index, message),
                // A worker of another version of the site, perhaps from the browser's HTTP cache.
                None => scheduler.worker_died(index, Failure::WorkerDied),
            });
        });
        let on_error = Closure::new(move |event: ErrorEvent| {
            if let Some(runtime) = runtime.upgrade() {
                let failure = support::cause_of_death(&event);
                runtime.step(|scheduler| scheduler.worker_died(index, failure));
            }
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Self { worker, _on_message: on_message, _on_error: on_error }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        // Messages that are already posted must not reach handlers that are dropped.
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

/// The file of the worker's module, beside the page's (see `bin/worker.rs`).
const SCRIPT: &str = "worker_loader.js";

/// The scheduler, and the bytes of weights that its plan has in memory at once.
fn scheduler(manifest: &Manifest, settings: &Settings) -> (Scheduler, u64) {
    let Settings { models, machine, .. } = settings;
    let (one, common) = (manifest.resident_bytes(), manifest.common_bytes());
    let resident = vec![one; manifest.folds()];
    let final_model = manifest.final_model().filter(|_| *models != Models::Folds);
    let shards_of = (0..manifest.folds()).chain(final_model).map(|fold| ShardsOfFold {
        hot: manifest.hot_shards_of(fold),
        cold: manifest.cold_shards_of(fold),
    });
    let shares = match final_model {
        Some(_) => plan::with_final_model(&resident, one, common, machine),
        None => plan::plan(&resident, common, machine),
    };
    let planned = plan::most_held(&shares, one, common);
    let bytes: Vec<u64> = manifest.shards().iter().map(|shard| shard.bytes).collect();
    let final_bytes = if final_model.is_some() { one } else { 0 };
    let copies = plan::copies(&shares, &resident, final_bytes, machine);
    let mut scheduler = Scheduler::new(shares, machine.cores, shards_of.collect(), &bytes);
    if final_model.is_some() {
        scheduler = scheduler.with_final_model();
    }
    scheduler = scheduler.with_helpers(&copies);
    if *models == Models::Both {
        scheduler.load_folds();
    }
    (scheduler, planned)
}
