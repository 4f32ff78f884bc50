//! Where the package runs, as its own JavaScript tells: how a worker is started, and what only Node knows.
//!
//! Workers are started there because bundlers look for `new Worker(new URL(...))` in JavaScript.

use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;
use web::browser;
use web::failure::Failure;
use web::http;
use web::models::Models;
use web::pool::Settings;
use web::pool::plan::Machine;
use web_sys::Worker;

use crate::js::property;

/// Lets requests be made by the host's `fetch`, if it has one of its own.
pub fn prepare(host: &JsValue) {
    if let Some(fetch) = function(host, "fetch") {
        http::fetch_by(fetch);
    }
}

/// The pool's settings: the host's machine, of which the models may take `memory` bytes if that is given.
pub fn settings(host: &JsValue, models: Models, memory: Option<u64>) -> Settings {
    let number = |name| property(host, name).and_then(|number| number.as_f64());
    let mut machine = Machine::here();
    if let Some(cores) = number("cores") {
        machine.cores = cores as usize;
    }
    if let Some(bytes) = number("memory") {
        machine.memory_bytes = bytes as u64;
    }
    if let Some(budget) = memory {
        machine = machine.with_budget(budget);
    }
    let start = function(host, "startWorker");
    let start_worker = move |_| start_by(start.as_ref());
    Settings { models, machine, start_worker: Box::new(start_worker) }
}

fn start_by(start: Option<&Function>) -> Result<Worker, Failure> {
    let started = start.ok_or(JsValue::UNDEFINED).and_then(|start| start.call0(&JsValue::NULL));
    // Node's is an object of the package that has what a worker has.
    started.map(JsCast::unchecked_into).map_err(|_| match browser::global("Worker") {
        Some(_) => Failure::WorkerDied,
        None => Failure::OldBrowser { what: "web workers".to_owned() },
    })
}

fn function(host: &JsValue, name: &str) -> Option<Function> {
    Reflect::get(host, &name.into()).ok()?.dyn_into().ok()
}
