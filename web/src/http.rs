//! HTTP GET without credentials, from the same site or, where that allows it (CORS), from another one. The body is read chunk by chunk; a request that stalls is
//! given up, and it can be cancelled.

use std::cell::{Cell, RefCell};

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, ReadableStreamDefaultReader, Request, RequestCache, RequestCredentials,
    RequestInit, RequestMode, Response,
};

use crate::browser::{self, Timer};

/// Milliseconds without data after which a request is given up: longer than a phone takes to change networks.
const STALL_MS: i32 = 20_000;

#[wasm_bindgen]
extern "C" {
    /// `fetch` of a window or of a worker.
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(request: &Request) -> Promise;
}

thread_local! {
    /// Called in place of the global `fetch`.
    static OTHER_FETCH: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// From now on requests are made by this function, which takes and returns what `fetch` does: Node's `fetch` reads no files.
pub fn fetch_by(function: Function) {
    OTHER_FETCH.set(Some(function));
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Cancelled,
    /// There was no answer.
    Unreachable,
    /// The answer began and broke off or stalled.
    Broken,
}

/// The use that a request makes of the browser's HTTP cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may answer by itself; for files whose name changes with their content.
    Stored,
    /// It may answer after asking the server whether its copy is current.
    Checked,
    /// It is neither read nor written.
    Bypassed,
}

/// Cancels the request under way and the ones that would follow.
#[derive(Default)]
pub struct Cancel {
    is_cancelled: Cell<bool>,
    current: RefCell<Option<AbortController>>,
}

impl Cancel {
    pub fn cancel(&self) {
        self.is_cancelled.set(true);
        if let Some(controller) = &*self.current.borrow() {
            controller.abort();
        }
    }

    /// Allows requests again.
    pub fn reset(&self) {
        self.is_cancelled.set(false);
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    fn or(&self, trouble: Trouble) -> Trouble {
        if self.is_cancelled() { Trouble::Cancelled } else { trouble }
    }
}

/// An answer whose body is read by [`Reply::chunk`]. Dropping it ends the transfer.
pub struct Reply<'a> {
    response: Response,
    reader: Option<ReadableStreamDefaultReader>,
    controller: AbortController,
    cancel: &'a Cancel,
    watchdog: Timer,
}

/// Requests `url` from byte `start` on. The answer's status tells whether it begins there.
///
/// # Errors
/// If there is no answer, or the request was cancelled.
pub async fn get<'a>(
    url: &str,
    start: usize,
    freshness: Freshness,
    cancel: &'a Cancel,
) -> Result<Reply<'a>, Trouble> {
    if cancel.is_cancelled() {
        return Err(Trouble::Cancelled);
    }
    let controller = AbortController::new().map_err(|_| Trouble::Unreachable)?;
    let request = request(url, start, freshness, &controller).map_err(|_| Trouble::Unreachable)?;
    *cancel.current.borrow_mut() = Some(controller.clone());
    let watchdog = watchdog(&controller);
    let response = JsFuture::from(fetch(&request)).await;
    let response: Response =
        response.map_err(|_| cancel.or(Trouble::Unreachable))?.unchecked_into();
    let reader = response.body().map(|body| body.get_reader().unchecked_into());
    Ok(Reply { response, reader, controller, cancel, watchdog })
}

impl Reply<'_> {
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// The address that the answer came from, after redirections.
    pub fn address(&self) -> String {
        self.response.url()
    }

    /// The header `Content-Range`.
    pub fn content_range(&self) -> Option<String> {
        self.response.headers().get("content-range").ok().flatten()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// If the connection breaks or stalls, or the request was cancelled.
    pub async fn chunk(&mut self) -> Result<Option<Uint8Array>, Trouble> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let read = JsFuture::from(reader.read()).await;
        let read = read.map_err(|_| self.cancel.or(Trouble::Broken))?;
        self.watchdog = watchdog(&self.controller);
        if Reflect::get(&read, &"done".into()).unwrap_or_default().is_truthy() {
            return Ok(None);
        }
        let value = Reflect::get(&read, &"value".into()).unwrap_or_default();
        // The bytes of another window's `fetch` are of a class of its own.
        Ok(Some(value.dyn_into().unwrap_or_else(|bytes| Uint8Array::new(&bytes))))
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        // This has no effect after the end of the body.
        self.controller.abort();
    }
}

fn fetch(request: &Request) -> Promise {
    let Some(function) = OTHER_FETCH.with_borrow(Clone::clone) else {
        return global_fetch(request);
    };
    match function.call1(&JsValue::NULL, request) {
        Ok(promise) => promise.unchecked_into(),
        Err(error) => Promise::reject(&error),
    }
}

fn watchdog(controller: &AbortController) -> Timer {
    let controller = controller.clone();
    Timer::new(STALL_MS, move || controller.abort())
}

fn request(
    url: &str,
    start: usize,
    freshness: Freshness,
    controller: &AbortController,
) -> Result<Request, JsValue> {
    let init = RequestInit::new();
    // A site's own files must not come from another one, whatever it redirects to.
    init.set_mode(match browser::is_of_this_site(url) {
        true => RequestMode::SameOrigin,
        false => RequestMode::Cors,
    });
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(match freshness {
        Freshness::Stored => RequestCache::Default,
        Freshness::Checked => RequestCache::NoCache,
        Freshness::Bypassed => RequestCache::NoStore,
    });
    init.set_signal(Some(&controller.signal()));
    let request = Request::new_with_str_and_init(url, &init)?;
    if start > 0 {
        request.headers().set("range", &format!("bytes={start}-"))?;
    }
    Ok(request)
}
