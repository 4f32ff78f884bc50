//! What is kept for the next visit, in the browser's Cache API: verified shards under their hash,
//! and for each bundle the manifest that was last seen.
//!
//! Nothing depends on it: where it is missing or full, everything is fetched again.

use js_sys::{Array, Uint8Array};
use shared::bundle::Shard;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, CacheStorage, DomException, Request, Response};

use crate::browser;

const NAME: &str = "quintet-models";

/// Keys are addresses below this that exist on no server. From the root, so that they are the same
/// for page and worker wherever these lie.
const SHARDS: &str = "/.quintet/shard/";
const MANIFESTS: &str = "/.quintet/manifest/";

/// The bytes of all shards kept by this site. Zero where there is no cache.
pub async fn size() -> u64 {
    let Ok(cache) = open().await else { return 0 };
    keys(&cache).await.iter().filter_map(|key| bytes_in(key)).sum()
}

/// Forgets every model that this site has kept.
pub async fn clear() {
    if let Some(storage) = storage() {
        drop(JsFuture::from(storage.delete(NAME)).await);
    }
}

/// Which of the shards are kept. Whether their bytes are still right shows when they are read.
pub async fn present(shards: &[Shard]) -> Vec<bool> {
    let kept = match open().await {
        Ok(cache) => keys(&cache).await,
        Err(_) => Vec::new(),
    };
    shards.iter().map(|shard| kept.iter().any(|key| key.ends_with(&shard_key(shard)))).collect()
}

/// A shard's bytes as they were kept; not yet verified.
pub async fn read(shard: &Shard) -> Option<Vec<u8>> {
    read_key(&open().await.ok()?, &shard_key(shard)).await
}

/// Keeps a verified shard.
///
/// # Errors
/// Why it cannot be kept, as half a sentence.
pub async fn write(shard: &Shard, bytes: &Uint8Array) -> Result<(), String> {
    write_key(&open().await?, &shard_key(shard), bytes).await
}

/// Forgets a shard, one that was damaged in the cache say.
pub async fn remove(shard: &Shard) {
    if let Ok(cache) = open().await {
        drop(JsFuture::from(cache.delete_with_str(&shard_key(shard))).await);
    }
}

/// The manifest that was last kept for the bundle at `base_url`.
pub async fn read_manifest(base_url: &str) -> Option<Vec<u8>> {
    read_key(&open().await.ok()?, &manifest_key(base_url)).await
}

/// Keeps a manifest for visits without a connection.
///
/// # Errors
/// As for [`write`].
pub async fn write_manifest(base_url: &str, json: &[u8]) -> Result<(), String> {
    let bytes = Uint8Array::new_from_slice(json);
    write_key(&open().await?, &manifest_key(base_url), &bytes).await
}

/// The length stands in the key, so that [`size`] need not open every entry.
fn shard_key(shard: &Shard) -> String {
    format!("{SHARDS}{}?bytes={}", shard.sha256, shard.bytes)
}

fn manifest_key(base_url: &str) -> String {
    format!("{MANIFESTS}{}", String::from(js_sys::encode_uri_component(base_url)))
}

fn bytes_in(key: &str) -> Option<u64> {
    key.split_once(SHARDS)?.1.split_once("?bytes=")?.1.parse().ok()
}

/// Access itself is refused in some privacy modes, and insecure pages have none.
fn storage() -> Option<CacheStorage> {
    browser::global("caches").map(JsCast::unchecked_into)
}

async fn open() -> Result<Cache, String> {
    let Some(storage) = storage() else {
        return Err("this browser keeps nothing for an insecure address".to_owned());
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
    match error.dyn_ref::<DomException>().map(DomException::name).as_deref() {
        Some("QuotaExceededError") => "the browser's storage for this site is full".to_owned(),
        Some("SecurityError") => "the browser's settings allow no storage here".to_owned(),
        _ => "the browser refused to store it".to_owned(),
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
