//! Browser functions that both a window and a worker have: addresses, the connection's state, timers.

use js_sys::{Function, JsString, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{SubtleCrypto, Url};

use crate::failure::Failure;

#[wasm_bindgen]
extern "C" {
    type ImportMeta;

    #[wasm_bindgen(method, getter)]
    fn url(this: &ImportMeta) -> JsString;

    #[wasm_bindgen(thread_local_v2, js_namespace = import, js_name = meta)]
    static IMPORT_META: ImportMeta;

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// A property of the global object; `None` where it is missing or access to it is refused.
pub fn global(name: &str) -> Option<JsValue> {
    Reflect::get(&js_sys::global(), &name.into()).ok().filter(|value| !value.is_falsy())
}

/// A numeric property of `navigator`, such as `hardwareConcurrency`; `None` if the browser does not tell.
pub fn navigator_number(name: &str) -> Option<f64> {
    Reflect::get(&global("navigator")?, &name.into()).ok()?.as_f64()
}

/// Whether this is a phone, by its screen: touched, and narrow on one side at least. `false` in a worker, which has no screen.
pub fn is_phone() -> bool {
    const NARROW: f64 = 600.0;
    let is_touched = || {
        let ask: Function = global("matchMedia")?.dyn_into().ok()?;
        let answer = ask.call1(&js_sys::global(), &"(pointer: coarse)".into()).ok()?;
        Reflect::get(&answer, &"matches".into()).ok()?.as_bool()
    };
    let side = |name: &str| Reflect::get(&global("screen")?, &name.into()).ok()?.as_f64();
    let is_narrow = || Some(side("width")?.min(side("height")?) < NARROW);
    is_touched() == Some(true) && is_narrow() == Some(true)
}

/// Whether the browser says that there is no connection. If it says that there is one, it may be wrong.
pub fn is_offline() -> bool {
    let online = global("navigator").and_then(|it| Reflect::get(&it, &"onLine".into()).ok());
    online.is_some_and(|online| online == JsValue::FALSE)
}

/// The sha256 of bytes, computed by the browser; `None` for a page that came neither by https nor from this
/// machine, where browsers do not offer it.
pub async fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    let subtle = Reflect::get(&global("crypto")?, &"subtle".into()).ok()?;
    let subtle: &SubtleCrypto = subtle.dyn_ref()?;
    // The call copies the bytes before it returns.
    let hash = subtle.digest_with_str_and_u8_array("SHA-256", bytes).ok()?;
    let hash = JsFuture::from(hash).await.ok()?;
    Uint8Array::new(&hash).to_vec().try_into().ok()
}

/// The address of a file beside the JavaScript module of this program.
pub fn beside_module(file: &str) -> Result<String, Failure> {
    let module = IMPORT_META.with(|meta| String::from(meta.url()));
    let url = Url::new_with_base(file, &module).map_err(|_| bad_address(&module))?;
    Ok(url.href())
}

/// The absolute address of a folder, ending in a slash. The given address may be relative to the document,
/// and may name the manifest in the folder.
///
/// # Errors
/// If it is no address.
pub fn folder_url(address: &str) -> Result<String, Failure> {
    let base = document_base().unwrap_or_else(location);
    // Node has no base: an address is absolute there.
    let url = if base.is_empty() { Url::new(address) } else { Url::new_with_base(address, &base) };
    let url = url.map_err(|_| bad_address(address))?;
    url.set_search("");
    url.set_hash("");
    Ok(as_folder(&url.href()))
}

/// Whether an address is of the site that this page came from: the same scheme, host and port. Node has no site but the
/// files of its machine.
pub fn is_of_this_site(address: &str) -> bool {
    let here = location();
    if here.is_empty() {
        return address.starts_with("file:");
    }
    let origin = |address| Url::new_with_base(address, &here).map(|url| url.origin());
    matches!((origin(address), origin(&here)), (Ok(there), Ok(here)) if there == here)
}

/// The host in an absolute address, with its port where that is not the scheme's own.
pub fn host(address: &str) -> String {
    Url::new(address).map(|url| url.host()).unwrap_or_default()
}

/// Resolves after at least `milliseconds`.
pub async fn sleep(milliseconds: i32) {
    let promise = Promise::new(&mut |resolve, _reject| {
        set_timeout(&resolve, milliseconds);
    });
    // The promise is never rejected.
    drop(JsFuture::from(promise).await);
}

/// A callback that runs once, later, unless the timer is dropped before.
pub struct Timer {
    id: JsValue,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    pub fn new(milliseconds: i32, callback: impl FnMut() + 'static) -> Self {
        let callback = Closure::new(callback);
        let id = set_timeout(callback.as_ref().unchecked_ref(), milliseconds);
        Self { id, _callback: callback }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}

fn location() -> String {
    let href = global("location").and_then(|it| Reflect::get(&it, &"href".into()).ok());
    href.and_then(|href| href.as_string()).unwrap_or_default()
}

/// The document's base address; `None` in a worker, which has no document.
fn document_base() -> Option<String> {
    Reflect::get(&global("document")?, &"baseURI".into()).ok()?.as_string()
}

fn as_folder(href: &str) -> String {
    let folder = href.strip_suffix("manifest.json").unwrap_or(href);
    if folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") }
}

fn bad_address(address: &str) -> Failure {
    Failure::Bundle { reason: format!("`{address}` is not an address") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_ends_in_a_slash_and_names_no_file() {
        for address in ["https://a.b/c/bundle", "https://a.b/c/bundle/"] {
            assert_eq!(as_folder(address), "https://a.b/c/bundle/");
        }
        assert_eq!(as_folder("https://a.b/c/bundle/manifest.json"), "https://a.b/c/bundle/");
    }
}
