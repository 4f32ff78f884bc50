//! What this device remembers for the next visit: the visitor's choice of models, and how much memory they may take. It is no
//! cookie: no server sees it.

use wasm_bindgen::prelude::*;

use crate::browser;
use crate::models::Models;

#[wasm_bindgen]
extern "C" {
    type Storage;

    #[wasm_bindgen(method, catch, js_name = getItem)]
    fn get_item(this: &Storage, key: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setItem)]
    fn set_item(this: &Storage, key: &str, value: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = removeItem)]
    fn remove_item(this: &Storage, key: &str) -> Result<(), JsValue>;
}

/// The key of the memory that models may take, on all pages of the site.
const MOST_FOR_MODELS: &str = "quintet-most-for-models";

const FINAL: &str = "final";
const FOLDS: &str = "folds";

/// The models that the visitor chose of the bundle in this folder, an absolute address; `None` without a choice, or where nothing can be
/// remembered.
pub fn read(folder: &str) -> Option<Models> {
    match &*storage()?.get_item(&key(folder)).ok()?? {
        FINAL => Some(Models::Final),
        FOLDS => Some(Models::Folds),
        _ => None,
    }
}

/// Remembers the choice, or forgets it. Where the browser refuses, the next visit asks again.
pub fn write(folder: &str, chosen: Option<Models>) {
    let Some(storage) = storage() else { return };
    let key = key(folder);
    drop(match chosen {
        Some(Models::Final) => storage.set_item(&key, FINAL),
        Some(_) => storage.set_item(&key, FOLDS),
        None => storage.remove_item(&key),
    });
}

/// The most bytes of weights that may be in memory, if an earlier visit ran out of it.
pub fn most_for_models() -> Option<u64> {
    storage()?.get_item(MOST_FOR_MODELS).ok()??.parse().ok()
}

/// Remembers that models may not take more memory than this. It never rises.
pub fn limit_models(bytes: u64) {
    let Some(storage) = storage() else { return };
    let most = most_for_models().map_or(bytes, |known| known.min(bytes));
    drop(storage.set_item(MOST_FOR_MODELS, &most.to_string()));
}

/// Lets models take what the device has again.
pub fn forget_limit() {
    if let Some(storage) = storage() {
        drop(storage.remove_item(MOST_FOR_MODELS));
    }
}

/// `None` where the visitor's settings forbid it.
fn storage() -> Option<Storage> {
    browser::global("localStorage").map(JsCast::unchecked_into)
}

/// A key for each folder, as several pages may be on one site.
fn key(folder: &str) -> String {
    format!("quintet-models {folder}")
}
