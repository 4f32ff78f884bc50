//! The browser's Cache API, which keeps verified shards by their hash and the last manifest of each bundle.
//!
//! Nothing depends on it: if it is missing or full, everything is downloaded again.

use js_sys::{Array, Reflect, Uint8Array};
use shared::bundle::Shard;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, CacheStorage, Request, Response};

use crate::browser;

const NAME: &str = "quintet-models";

/// The keys are addresses below these folders, which exist on no server. They begin at the root, so that page and
/// worker have the same keys wherever their files are.
const SHARDS: &str = "/.quintet/shard/";
const MANIFESTS: &str = "/.quintet/manifest/";

/// The bytes of all cached shards of this site; zero without a cache.
pub async fn size() -> u64 {
    let Ok(cache) = open().await else { return 0 };
    keys(&cache).await.iter().filter_map(|key| bytes_in(key)).sum()
}

/// Removes all cached shards and manifests of this site.
pub async fn clear() {
    if let Some(storage) = storage() {
        drop(JsFuture::from(storage.delete(NAME)).await);
    }
}

/// Whether each of the shards is cached. Its bytes are verified when it is read.
pub async fn present(shards: &[Shard]) -> Vec<bool> {
    let kept = match open().await {
        Ok(cache) => keys(&cache).await,
        Err(_) => Vec::new(),
    };
    shards.iter().map(|shard| kept.iter().any(|key| key.ends_with(&shard_key(shard)))).collect()
}

/// The cached bytes of a shard, not verified.
pub async fn read(shard: &Shard) -> Option<Vec<u8>> {
    read_key(&open().await.ok()?, &shard_key(shard)).await
}

/// Caches a verified shard.
///
/// # Errors
/// The reason why it cannot be cached, as part of a sentence for the visitor.
pub async fn write(shard: &Shard, bytes: &Uint8Array) -> Result<(), String> {
    write_key(&open().await?, &shard_key(shard), bytes).await
}

/// Removes a shard from the cache.
pub async fn remove(shard: &Shard) {
    if let Ok(cache) = open().await {
        drop(JsFuture::from(cache.delete_with_str(&shard_key(shard))).await);
    }
}

/// The cached manifest of the bundle at `base_url`.
pub async fn read_manifest(base_url: &str) -> Option<Vec<u8>> {
    read_key(&open().await.ok()?, &manifest_key(base_url)).await
}

/// Caches a manifest for visits without a connection.
///
/// # Errors
/// As for [`write()`].
pub async fn write_manifest(base_url: &str, json: &[u8]) -> Result<(), String> {
    let bytes = Uint8Array::new_from_slice(json);
    write_key(&open().await?, &manifest_key(base_url), &bytes).await
}

/// The key of a shard. It has the length, so that [`size`] need not open every entry.
fn shard_key(shard: &Shard) -> String {
    format!("{SHARDS}{}?bytes={}", shard.sha256, shard.bytes)
}

fn manifest_key(base_url: &str) -> String {
    format!("{MANIFESTS}{}", String::from(js_sys::encode_uri_component(base_url)))
}

fn bytes_in(key: &str) -> Option<u64> {
    key.split_once(SHARDS)?.1.split_once("?bytes=")?.1.parse().ok()
}

const NOT_ALLOWED: &str = "the browser's settings do not allow storage for this site";

/// The cache storage; `None` for insecure pages and in some privacy modes.
fn storage() -> Option<CacheStorage> {
    browser::global("caches").map(JsCast::unchecked_into)
}

async fn open() -> Result<Cache, String> {
    let Some(storage) = storage() else {
        let reason = match (browser::global("location"), browser::global("isSecureContext")) {
            (None, _) => "Node has no cache as browsers have",
            (_, Some(_)) => NOT_ALLOWED,
            (_, None) => "browsers store files only for secure addresses (https)",
        };
        return Err(reason.to_owned());
    };
    let cache = JsFuture::from(storage.open(NAME)).await.map_err(|error| reason(&error))?;
    Ok(cache.unchecked_into())
}

async fn keys(cache: &Cache) -> Vec<String> {
    let Ok(keys) = JsFuture::from(cache.keys()).await else { return Vec::new() };
    Array::from(&keys).iter().map(|key| key.unchecked_into::<Request>().url()).collect()
}

async fn read_key(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let found = JsFuture::from(cache.match_with_str(key)).await.ok()?;
    let response: Response = found.dyn_into().ok()?;
    let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec())
}

async fn write_key(cache: &Cache, key: &str, bytes: &Uint8Array) -> Result<(), String> {
    let response =
        Response::new_with_opt_js_u8_array(Some(bytes)).map_err(|error| reason(&error))?;
    JsFuture::from(cache.put_with_str(key, &response)).await.map_err(|error| reason(&error))?;
    Ok(())
}

fn reason(error: &JsValue) -> String {
    let name = Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    match name.as_deref() {
        // The second is Firefox's, and no DOMException.
        Some("QuotaExceededError" | "NS_ERROR_FILE_NO_DEVICE_SPACE") => {
            "the browser's storage for this site is full".to_owned()
        }
        Some("SecurityError") => NOT_ALLOWED.to_owned(),
        _ => "the browser refused to store them".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shards_count_towards_the_size() {
        let shard = Shard { sha256: "ab".repeat(32), bytes: 70, folds: vec![0], cold: false };
        let key = format!("https://example.org{}", shard_key(&shard));
        assert_eq!(bytes_in(&key), Some(70));
        assert_eq!(bytes_in("https://example.org/.quintet/manifest/x?bytes=7"), None);
    }
}
