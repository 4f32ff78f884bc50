//! A loaded ensemble: its requests are pending until every fold has answered, or the final model, where that answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise};
use shared::bundle::{Manifest, TextAnswer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web::explained::Explained;
use web::models::Models;
use web::pool::{Pool, PoolEvent};
use web_sys::AbortSignal;

use crate::js::{self, Aborting, Settle, disposed, error, set};
use crate::pending::{Asked, Pending};

/// The package's type `Ensemble` (see `web/package/quintet.d.ts`). The workers end with the last owner of its state: this
/// object, which JavaScript's garbage collection frees, or a call that is not settled.
#[wasm_bindgen(js_name = Ensemble)]
pub struct JsEnsemble {
    inner: Rc<Inner>,
}

impl JsEnsemble {
    pub fn new(inner: Rc<Inner>) -> Self {
        Self { inner }
    }

    /// Owns the state until `call` is settled.
    fn hold(&self, call: Promise) -> Promise {
        let (inner, call) = (Rc::clone(&self.inner), JsFuture::from(call));
        future_to_promise(async move {
            let settled = call.await;
            drop(inner);
            settled
        })
    }
}

#[wasm_bindgen(js_class = Ensemble)]
impl JsEnsemble {
    #[wasm_bindgen(getter)]
    pub fn title(&self) -> String {
        self.inner.manifest.title().to_owned()
    }

    #[wasm_bindgen(getter)]
    pub fn labels(&self) -> Vec<String> {
        self.inner.manifest.labels().names().to_vec()
    }

    #[wasm_bindgen(getter)]
    pub fn thresholds(&self) -> Array {
        let thresholds = self.inner.manifest.thresholds().values().iter();
        thresholds.map(|&threshold| JsValue::from_f64(threshold)).collect()
    }

    #[wasm_bindgen(getter)]
    pub fn folds(&self) -> usize {
        self.inner.manifest.folds()
    }

    #[wasm_bindgen(getter, js_name = hasFinalModel)]
    pub fn has_final_model(&self) -> bool {
        self.inner.manifest.final_model().is_some()
    }

    /// The models that would answer now.
    #[wasm_bindgen(getter)]
    pub fn models(&self) -> String {
        let name = if self.inner.speaker() == Models::Final { "final" } else { "folds" };
        name.to_owned()
    }

    #[wasm_bindgen(js_name = loadFolds)]
    pub fn load_folds(&self, options: &JsValue) -> Promise {
        match js::signal_not_aborted(options) {
            Ok(signal) => self.hold(self.inner.load_folds(signal)),
            Err(error) => Promise::reject(&error),
        }
    }

    #[wasm_bindgen(getter, js_name = notCached)]
    pub fn not_cached(&self) -> Option<String> {
        self.inner.not_cached.borrow().clone()
    }

    pub fn classify(&self, input: &JsValue, options: &JsValue) -> Promise {
        match asked(input) {
            Some(asked) => self.hold(self.inner.ask(asked, options)),
            None => Promise::reject(&js::argument(
                "classify() takes a string or an array of strings, and perhaps options",
            )),
        }
    }

    pub fn explain(&self, text: &JsValue, label: &JsValue, options: &JsValue) -> Promise {
        let labels = self.inner.manifest.labels().names();
        let name = label.as_string();
        let place = name.and_then(|name| labels.iter().position(|label| *label == name));
        match (text.as_string(), place) {
            (Some(text), Some(label)) => {
                let asked = Asked::Words { explained: Explained::new(&text), label };
                self.hold(self.inner.ask(asked, options))
            }
            _ => Promise::reject(&js::argument(&format!(
                "explain() takes a string and one of the labels {}",
                labels.join(", ")
            ))),
        }
    }

    pub fn dispose(&self) {
        self.inner.end(&disposed());
    }
}

/// The ensemble's state, shared with the handler of the pool's events.
pub struct Inner {
    manifest: Rc<Manifest>,
    on_progress: Option<Function>,
    /// `None` before the start and after the end.
    pool: RefCell<Option<Rc<Pool>>>,
    /// Waits for the models that `load` was called for.
    loading: RefCell<Option<Settle>>,
    /// Waits for the folds beside a final model that answers already.
    loading_folds: RefCell<BTreeMap<u32, (Settle, Option<Aborting>)>>,
    /// The models that the pool has begun with.
    models: Models,
    /// Whether each fold is ready, and after them the final model.
    ready: RefCell<Vec<bool>>,
    failed: RefCell<Option<JsValue>>,
    /// Whether the folds could not be loaded beside the final model.
    folds_failed: Cell<bool>,
    /// The error of cold rows that could not be loaded; texts with rare words are rejected with it.
    cold_failed: RefCell<Option<JsValue>>,
    not_cached: RefCell<Option<String>>,
    pending: RefCell<BTreeMap<u32, Pending>>,
    /// Of a request, or of a call that waits for the folds.
    next_number: Cell<u32>,
}

impl Inner {
    /// `loading` is resolved when every fold is ready, or the final model if `models` have it, and rejected when one
    /// fails.
    pub fn new(
        manifest: Rc<Manifest>,
        models: Models,
        on_progress: Option<Function>,
        loading: Settle,
    ) -> Self {
        Self {
            on_progress,
            pool: RefCell::default(),
            loading: RefCell::new(Some(loading)),
            loading_folds: RefCell::default(),
            models,
            ready: RefCell::new(vec![false; manifest.models()]),
            failed: RefCell::default(),
            folds_failed: Cell::default(),
            cold_failed: RefCell::default(),
            not_cached: RefCell::default(),
            pending: RefCell::default(),
            next_number: Cell::new(0),
            manifest,
        }
    }

    /// Stores the pool whose events are passed to [`receive`](Self::receive).
    pub fn started(&self, pool: Pool) {
        *self.pool.borrow_mut() = Some(Rc::new(pool));
    }

    /// An owner of the pool instead of a borrow: the pool may report within a call, and the caller's callback end it.
    fn pool(&self) -> Option<Rc<Pool>> {
        self.pool.borrow().clone()
    }

    pub fn receive(&self, event: PoolEvent) {
        if self.failed.borrow().is_some() {
            return; // what was under way when the ensemble ended
        }
        match event {
            PoolEvent::Progress { received, total } => self.report(received, total),
            PoolEvent::FoldReady { fold } => {
                self.ready.borrow_mut()[fold] = true;
                if (self.has_folds() || self.manifest.final_model() == Some(fold))
                    && let Some(loading) = self.loading.borrow_mut().take()
                {
                    loading.resolve(&JsValue::UNDEFINED);
                }
                if self.has_folds() {
                    let waiting = std::mem::take(&mut *self.loading_folds.borrow_mut());
                    waiting.values().for_each(|(loading, _)| loading.resolve(&JsValue::UNDEFINED));
                }
            }
            PoolEvent::Answer { request, fold, answers } => self.answer(request, fold, answers),
            // The final model goes on answering, and the caller can try again.
            PoolEvent::FoldFailed { fold, failure }
                if fold < self.manifest.folds() && self.speaker() == Models::Final =>
            {
                self.ready.borrow_mut()[fold] = false;
                self.fail_folds(&error(&failure));
            }
            // Fewer folds would give other probabilities without the caller noticing.
            PoolEvent::FoldFailed { failure, .. } => self.end(&error(&failure)),
            PoolEvent::NotCached { reason } => *self.not_cached.borrow_mut() = Some(reason),
            PoolEvent::NeedsCold { request, .. } => self.wait_for_cold(request),
            PoolEvent::ColdFailed { failure, .. } => self.fail_cold(&error(&failure)),
            PoolEvent::ColdLoaded { .. }
            | PoolEvent::WorkerRestarted { .. }
            | PoolEvent::OutOfMemory => {}
        }
    }

    fn ask(self: &Rc<Self>, asked: Asked, options: &JsValue) -> Promise {
        let given = js::signal_not_aborted(options)
            .and_then(|signal| Ok((signal, js::function(options, "onAnswer")?)));
        let (signal, on_answer) = match given {
            Ok(given) => given,
            Err(error) => return Promise::reject(&error),
        };
        if let Some(error) = &*self.failed.borrow() {
            return Promise::reject(error);
        }
        let request = self.next_number();
        let models = self.speaker();
        let count = if models == Models::Final { 1 } else { self.manifest.folds() };
        let texts = asked.texts();
        let mut pending = Pending::new(asked, models, count, on_answer);
        pending.aborting =
            self.on_abort(signal, move |inner, reason| inner.cancel(request, reason));
        let promise = pending.settle.promise.clone();
        self.pending.borrow_mut().insert(request, pending);
        if let Some(pool) = self.pool() {
            if self.cold_failed.borrow_mut().take().is_some() {
                pool.retry();
            }
            pool.classify(request, texts, models);
        }
        promise
    }

    /// Rejects a request whose signal was aborted.
    fn cancel(&self, request: u32, reason: &JsValue) {
        if let Some(pending) = self.take_pending(request) {
            pending.settle.reject(reason);
            if let Some(pool) = self.pool() {
                pool.cancel(request);
            }
        }
    }

    fn wait_for_cold(&self, request: u32) {
        if let Some(pending) = self.pending.borrow_mut().get_mut(&request) {
            pending.needs_cold = true;
        }
        let failed = self.cold_failed.borrow().clone();
        if let Some(error) = failed {
            self.fail_cold(&error);
        }
    }

    /// Rejects the requests that wait for cold rows. Others are still answered; the next request retries loading.
    fn fail_cold(&self, error: &JsValue) {
        *self.cold_failed.borrow_mut() = Some(error.clone());
        let waiting = |_: &u32, pending: &mut Pending| pending.needs_cold;
        let failed: Vec<_> = self.pending.borrow_mut().extract_if(.., waiting).collect();
        for (request, pending) in failed {
            pending.settle.reject(error);
            if let Some(pool) = self.pool() {
                pool.cancel(request);
            }
        }
    }

    /// Whether every fold is ready.
    fn has_folds(&self) -> bool {
        self.ready.borrow()[..self.manifest.folds()].iter().all(|&ready| ready)
    }

    /// The models that answer: the folds, unless the final model came before them and they are not all ready.
    fn speaker(&self) -> Models {
        if self.models == Models::Folds || self.has_folds() { Models::Folds } else { Models::Final }
    }

    fn load_folds(self: &Rc<Self>, signal: Option<AbortSignal>) -> Promise {
        if let Some(error) = &*self.failed.borrow() {
            return Promise::reject(error);
        }
        if self.has_folds() {
            return Promise::resolve(&JsValue::UNDEFINED);
        }
        let (call, settle) = (self.next_number(), Settle::new());
        let promise = settle.promise.clone();
        let aborting = self.on_abort(signal, move |inner, reason| inner.stop_folds(call, reason));
        self.loading_folds.borrow_mut().insert(call, (settle, aborting));
        let tries_again = self.folds_failed.take();
        if let Some(pool) = self.pool() {
            pool.load_folds();
            if tries_again {
                pool.retry();
            }
        }
        promise
    }

    /// Rejects a call that waits for the folds, and stops loading them if it was the last.
    fn stop_folds(&self, call: u32, reason: &JsValue) {
        let waiting = self.loading_folds.borrow_mut().remove(&call);
        let Some((settle, _aborting)) = waiting else { return };
        settle.reject(reason);
        let is_last = self.loading_folds.borrow().is_empty();
        if let (true, Some(pool)) = (is_last, self.pool()) {
            pool.cancel_loading();
        }
    }

    fn on_abort(
        self: &Rc<Self>,
        signal: Option<AbortSignal>,
        act: impl Fn(&Self, &JsValue) + 'static,
    ) -> Option<Aborting> {
        let inner = Rc::downgrade(self);
        let on_abort = move |reason: &JsValue| {
            if let Some(inner) = inner.upgrade() {
                act(&inner, reason);
            }
        };
        Some(Aborting::new(signal?, on_abort))
    }

    fn next_number(&self) -> u32 {
        let number = self.next_number.get();
        self.next_number.set(number.wrapping_add(1));
        number
    }

    /// Rejects the calls that wait for the folds. The next call tries again.
    fn fail_folds(&self, error: &JsValue) {
        self.folds_failed.set(true);
        for (loading, _) in std::mem::take(&mut *self.loading_folds.borrow_mut()).into_values() {
            loading.reject(error);
        }
    }

    fn answer(&self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        let told = {
            let mut all = self.pending.borrow_mut();
            let Some(pending) = all.get_mut(&request) else { return };
            pending.take(&self.manifest, fold, answers)
        };
        if let Some((on_answer, answer, progress)) = told {
            // An exception of the caller's callback is no reason to stop. It may call anything of the ensemble.
            drop(on_answer.call2(&JsValue::NULL, &answer, &progress));
        }
        let is_answered = self.pending.borrow().get(&request).is_some_and(Pending::is_answered);
        if is_answered && let Some(pending) = self.take_pending(request) {
            pending.settle.resolve(&pending.answer(&self.manifest));
        }
    }

    /// A statement of its own, so that the borrow ends before the caller goes on.
    fn take_pending(&self, request: u32) -> Option<Pending> {
        self.pending.borrow_mut().remove(&request)
    }

    fn report(&self, received: u64, total: u64) {
        if let Some(on_progress) = &self.on_progress {
            let progress = Object::new();
            set(&progress, "received", &JsValue::from_f64(received as f64));
            set(&progress, "total", &JsValue::from_f64(total as f64));
            // An exception of the caller's callback is no reason to stop loading.
            drop(on_progress.call1(&JsValue::NULL, &progress));
        }
    }

    /// Ends the workers and rejects everything pending with `error`; the first such error is kept for later calls.
    pub fn end(&self, error: &JsValue) {
        self.failed.borrow_mut().get_or_insert_with(|| error.clone());
        drop(self.pool.borrow_mut().take());
        if let Some(loading) = self.loading.borrow_mut().take() {
            loading.reject(error);
        }
        self.fail_folds(error);
        for pending in std::mem::take(&mut *self.pending.borrow_mut()).into_values() {
            pending.settle.reject(error);
        }
    }
}

fn asked(input: &JsValue) -> Option<Asked> {
    match input.as_string() {
        Some(text) => Some(Asked::One(text)),
        None if Array::is_array(input) => {
            let texts: Option<_> = Array::from(input).iter().map(|text| text.as_string()).collect();
            Some(Asked::List(texts?))
        }
        None => None,
    }
}
