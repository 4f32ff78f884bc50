//! JavaScript's promises, abort signals, objects and errors.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use web::failure::Failure;
use web_sys::AbortSignal;

/// A promise with its `resolve` and `reject`.
pub struct Settle {
    pub promise: Promise,
    resolve: Function,
    reject: Function,
}

impl Settle {
    pub fn new() -> Self {
        let mut functions = None;
        let promise = Promise::new(&mut |resolve, reject| functions = Some((resolve, reject)));
        let (resolve, reject) = functions.expect("a promise calls its executor at once");
        Self { promise, resolve, reject }
    }

    pub fn resolve(&self, value: &JsValue) {
        drop(self.resolve.call1(&JsValue::NULL, value));
    }

    pub fn reject(&self, error: &JsValue) {
        drop(self.reject.call1(&JsValue::NULL, error));
    }
}

/// A listener of an abort signal; dropping it removes the listener.
pub struct Aborting {
    signal: AbortSignal,
    listener: Closure<dyn FnMut()>,
}

impl Aborting {
    /// Calls `on_abort` with the signal's reason when it is aborted.
    pub fn new(signal: AbortSignal, on_abort: impl Fn(&JsValue) + 'static) -> Self {
        let source = signal.clone();
        let listener = Closure::<dyn FnMut()>::new(move || on_abort(&source.reason()));
        let function = listener.as_ref().unchecked_ref();
        signal.add_event_listener_with_callback("abort", function).expect("a signal has events");
        Self { signal, listener }
    }
}

impl Drop for Aborting {
    fn drop(&mut self) {
        let function = self.listener.as_ref().unchecked_ref();
        drop(self.signal.remove_event_listener_with_callback("abort", function));
    }
}

pub fn throw_if_aborted(signal: Option<&AbortSignal>) -> Result<(), JsValue> {
    match signal {
        Some(signal) if signal.aborted() => Err(signal.reason()),
        _ => Ok(()),
    }
}

pub fn property(options: &JsValue, name: &str) -> Option<JsValue> {
    if !options.is_object() {
        return None;
    }
    Reflect::get(options, &name.into()).ok().filter(|value| !value.is_undefined())
}

pub fn set(object: &Object, name: &str, value: &JsValue) {
    Reflect::set(object, &name.into(), value).expect("an object of our own takes properties");
}

pub fn error(failure: &Failure) -> JsValue {
    named_error(&failure.message(), failure.code(), failure.remedy())
}

pub fn disposed() -> JsValue {
    named_error("The ensemble has been disposed", "disposed", "Load it again.")
}

fn named_error(message: &str, code: &str, remedy: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name("QuintetError");
    set(&error, "code", &code.into());
    set(&error, "remedy", &remedy.into());
    error.into()
}
