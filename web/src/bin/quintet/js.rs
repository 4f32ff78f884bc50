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

/// The option `signal`.
pub fn signal(options: &JsValue) -> Result<Option<AbortSignal>, JsValue> {
    let Some(given) = property(options, "signal") else { return Ok(None) };
    given.dyn_into().map(Some).map_err(|_| argument("the option `signal` is an AbortSignal"))
}

/// The option `signal` of a call that has not been aborted before it began.
pub fn signal_not_aborted(options: &JsValue) -> Result<Option<AbortSignal>, JsValue> {
    let signal = signal(options)?;
    throw_if_aborted(signal.as_ref())?;
    Ok(signal)
}

/// A function among options.
pub fn function(options: &JsValue, name: &str) -> Result<Option<Function>, JsValue> {
    let Some(given) = property(options, name) else { return Ok(None) };
    given.dyn_into().map(Some).map_err(|_| argument(&format!("the option `{name}` is a function")))
}

/// A whole number from 1 on among options; `what` says what it is.
pub fn count(options: &JsValue, name: &str, what: &str) -> Result<Option<u64>, JsValue> {
    let Some(given) = property(options, name) else { return Ok(None) };
    match given.as_f64() {
        Some(number) if number >= 1.0 && number.fract() == 0.0 => Ok(Some(number as u64)),
        _ => Err(argument(&format!("the option `{name}` is {what}"))),
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

/// The error of a call that is wrong whatever the bundle is.
pub fn argument(message: &str) -> JsValue {
    let error = js_sys::TypeError::new(message);
    set(&error, "code", &"argument".into());
    error.into()
}

fn named_error(message: &str, code: &str, remedy: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name("QuintetError");
    set(&error, "code", &code.into());
    set(&error, "remedy", &remedy.into());
    error.into()
}
