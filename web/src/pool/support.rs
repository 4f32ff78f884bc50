//! Answers that depend on the browser's version: whether it can run the models, and why a worker stopped.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, Worker};

use crate::browser;
use crate::failure::Failure;

/// The smallest module with a vector instruction: `() -> v128` by `i8x16.splat (i32.const 0)`.
const SIMD_MODULE: [u8; 29] = [
    0, b'a', b's', b'm', 1, 0, 0, 0, // magic, version
    1, 5, 1, 0x60, 0, 1, 0x7b, // types: () -> v128
    3, 2, 1, 0, // functions: of type 0
    10, 8, 1, 6, 0, 0x41, 0, 0xfd, 15, 0x0b, // code
];

/// Checks that the browser has what the models need.
///
/// # Errors
/// The first feature that is missing.
pub fn check() -> Result<(), Failure> {
    let module = Uint8Array::new_from_slice(&SIMD_MODULE);
    if !WebAssembly::validate(&module).unwrap_or(false) {
        return Err(Failure::SimdMissing);
    }
    for (name, what) in
        [("ReadableStream", "streamed downloads"), ("AbortController", "cancellable downloads")]
    {
        if browser::global(name).is_none() {
            return Err(Failure::OldBrowser { what: what.to_owned() });
        }
    }
    Ok(())
}

/// Starts a worker from a module of this address. A browser that does not support module workers never reads the option
/// `type`; there is no other way to detect that.
pub fn module_worker(script: &str) -> Result<Worker, Failure> {
    if browser::global("Worker").is_none() {
        return Err(Failure::OldBrowser { what: "web workers".to_owned() });
    }
    let looked = Rc::new(Cell::new(false));
    let noted = Rc::clone(&looked);
    let get = Closure::<dyn FnMut() -> JsValue>::new(move || {
        noted.set(true);
        "module".into()
    });
    let (options, property) = (Object::new(), Object::new());
    Reflect::set(&property, &"get".into(), get.as_ref()).expect("a new object takes properties");
    Object::define_property(&options, &"type".into(), &property);
    let worker = Worker::new_with_options(script, options.unchecked_ref());
    if !looked.get() {
        return Err(Failure::OldBrowser { what: "module workers".to_owned() });
    }
    worker.map_err(|_| Failure::WorkerDied)
}

/// The failure that an error event of a worker stands for. A worker reports by itself that memory ran out,
/// except when its module could not even be set up; that is detected here.
pub fn cause_of_death(event: &ErrorEvent) -> Failure {
    // If the script cannot be fetched, the event has no message.
    let message = Reflect::get(event, &"message".into()).ok().and_then(|text| text.as_string());
    match message {
        None => Failure::Offline,
        Some(text) if text.contains("RangeError") || text.contains("out of memory") => {
            Failure::OutOfMemory
        }
        // A module that was taken for a classic script.
        Some(text) if text.contains("SyntaxError") && text.contains("import") => {
            Failure::OldBrowser { what: "module workers".to_owned() }
        }
        _ => Failure::WorkerDied,
    }
}
