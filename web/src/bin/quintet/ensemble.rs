//! A loaded ensemble: its requests are pending until every fold has answered.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Array, Function, JSON, Object, Promise};
use shared::bundle::{Manifest, TextAnswer};
use wasm_bindgen::prelude::*;
use web::api::Answer;
use web::pool::{Pool, PoolEvent};

use crate::js::{Settle, disposed, error, set};

/// The package's type `Ensemble` (see `web/package/types.d.ts`).
#[wasm_bindgen(js_name = Ensemble, skip_typescript)]
pub struct JsEnsemble {
    inner: Rc<Inner>,
}

impl JsEnsemble {
    pub fn new(inner: Rc<Inner>) -> Self {
        Self { inner }
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

    #[wasm_bindgen(getter, js_name = notCached)]
    pub fn not_cached(&self) -> Option<String> {
        self.inner.not_cached.borrow().clone()
    }

    pub fn classify(&self, input: &JsValue) -> Promise {
        match texts(input) {
            Some(texts) => self.inner.classify(texts, Array::is_array(input)),
            None => Promise::reject(
                &js_sys::TypeError::new("classify() takes a string or an array of strings").into(),
            ),
        }
    }

    pub fn dispose(&self) {
        self.inner.end(&disposed());
    }
}

impl Drop for JsEnsemble {
    fn drop(&mut self) {
        self.dispose();
    }
}

/// The ensemble's state, shared with the handler of the pool's events.
pub struct Inner {
    manifest: Rc<Manifest>,
    on_progress: Option<Function>,
    /// `None` before the start and after the end.
    pool: RefCell<Option<Pool>>,
    loading: RefCell<Option<Settle>>,
    ready: RefCell<Vec<bool>>,
    failed: RefCell<Option<JsValue>>,
    /// The error of cold rows that could not be loaded; texts with rare words are rejected with it.
    cold_failed: RefCell<Option<JsValue>>,
    not_cached: RefCell<Option<String>>,
    pending: RefCell<BTreeMap<u32, Pending>>,
    next_request: Cell<u32>,
}

struct Pending {
    settle: Settle,
    /// Whether `classify` was called with a list, and so answers with one.
    is_list: bool,
    /// Whether a text waits for a fold's cold rows.
    needs_cold: bool,
    folds: Vec<Option<Vec<TextAnswer>>>,
}

impl Inner {
    /// `loading` is resolved when every fold is ready, and rejected when one fails.
    pub fn new(manifest: Rc<Manifest>, on_progress: Option<Function>, loading: Settle) -> Self {
        Self {
            on_progress,
            pool: RefCell::default(),
            loading: RefCell::new(Some(loading)),
            ready: RefCell::new(vec![false; manifest.folds()]),
            failed: RefCell::default(),
            cold_failed: RefCell::default(),
            not_cached: RefCell::default(),
            pending: RefCell::default(),
            next_request: Cell::new(0),
            manifest,
        }
    }

    /// Stores the pool whose events are passed to [`receive`](Self::receive).
    pub fn started(&self, pool: Pool) {
        *self.pool.borrow_mut() = Some(pool);
    }

    pub fn receive(&self, event: PoolEvent) {
        match event {
            PoolEvent::Progress { received, total } => self.report(received, total),
            PoolEvent::FoldReady { fold } => {
                self.ready.borrow_mut()[fold] = true;
                if self.ready.borrow().iter().all(|&ready| ready)
                    && let Some(loading) = self.loading.borrow_mut().take()
                {
                    loading.resolve(&JsValue::UNDEFINED);
                }
            }
            PoolEvent::Answer { request, fold, answers } => self.answer(request, fold, answers),
            // Fewer folds would give other probabilities without the caller noticing.
            PoolEvent::FoldFailed { failure, .. } => self.end(&error(&failure)),
            PoolEvent::NotCached { reason } => *self.not_cached.borrow_mut() = Some(reason),
            PoolEvent::NeedsCold { request, .. } => self.wait_for_cold(request),
            PoolEvent::ColdFailed { failure, .. } => self.fail_cold(&error(&failure)),
            PoolEvent::ColdLoaded { .. } | PoolEvent::WorkerRestarted { .. } => {}
        }
    }

    fn classify(&self, texts: Vec<String>, is_list: bool) -> Promise {
        if let Some(error) = &*self.failed.borrow() {
            return Promise::reject(error);
        }
        let (request, settle) = (self.next_request.get(), Settle::new());
        self.next_request.set(request.wrapping_add(1));
        let promise = settle.promise.clone();
        let folds = vec![None; self.manifest.folds()];
        self.pending
            .borrow_mut()
            .insert(request, Pending { settle, is_list, needs_cold: false, folds });
        if let Some(pool) = &*self.pool.borrow() {
            if self.cold_failed.borrow_mut().take().is_some() {
                pool.retry();
            }
            pool.classify(request, texts);
        }
        promise
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
            if let Some(pool) = &*self.pool.borrow() {
                pool.cancel(request);
            }
        }
    }

    fn answer(&self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        let mut all = self.pending.borrow_mut();
        let Some(pending) = all.get_mut(&request) else { return };
        pending.folds[fold] = Some(answers);
        if pending.folds.iter().all(Option::is_some) {
            let pending = all.remove(&request).expect("found above");
            pending.settle.resolve(&self.combined(&pending.folds, pending.is_list));
        }
    }

    fn combined(&self, folds: &[Option<Vec<TextAnswer>>], is_list: bool) -> JsValue {
        let folds: Vec<&Vec<TextAnswer>> = folds.iter().flatten().collect();
        let answers = (0..folds[0].len()).map(|text| {
            let of_text: Vec<&TextAnswer> = folds.iter().map(|fold| &fold[text]).collect();
            let answer = Answer::new(&self.manifest, &of_text);
            let json = serde_json::to_string(&answer).expect("an answer is plain data");
            JSON::parse(&json).expect("serde_json writes JSON")
        });
        let answers: Array = answers.collect();
        if is_list { answers.into() } else { answers.get(0) }
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
        for pending in std::mem::take(&mut *self.pending.borrow_mut()).into_values() {
            pending.settle.reject(error);
        }
    }
}

fn texts(input: &JsValue) -> Option<Vec<String>> {
    match input.as_string() {
        Some(text) => Some(vec![text]),
        None if Array::is_array(input) => {
            Array::from(input).iter().map(|text| text.as_string()).collect()
        }
        None => None,
    }
}
