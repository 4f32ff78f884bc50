//! The download of the manifest. Its name is fixed, so it is requested on every visit.
//!
//! | answer | what a visitor is told |
//! |---|---|
//! | a manifest of this version, within its limits | nothing: it is used |
//! | a manifest of another version, or one that asks for too much | which field, as [`Failure::Bundle`] |
//! | a page, nothing, part of a file, another file | what came from which address, as [`Failure::Instead`] (`instead`) |
//! | 404 or 410, another status | that it is missing, or the status |
//! | no answer | the manifest of the last visit is used, if there was one |

use shared::bundle::{MANIFEST_BYTES, Manifest, Shard};

use crate::failure::Failure;
use crate::http::{self, Cancel, Freshness, Trouble};
use crate::{browser, cache, instead};

const FILE: &str = "manifest.json";

/// Fetches and checks `manifest.json` in the folder `base_url`, which may be relative to the page. If the site
/// cannot be reached, the manifest of the last visit is used.
///
/// # Errors
/// If the manifest cannot be fetched and none is cached, or it is not valid.
pub async fn fetch_manifest(base_url: &str) -> Result<Manifest, Failure> {
    let base_url = browser::folder_url(base_url)?;
    match fetch(&base_url).await {
        Ok((json, address)) => {
            let manifest = parse(&json, address)?;
            keep(&base_url, &json, &manifest).await;
            Ok(manifest)
        }
        Err(Failure::Offline) => {
            let kept = cache::read_manifest(&base_url).await.ok_or(Failure::Offline)?;
            Manifest::from_json(&kept).map_err(|_| Failure::Offline)
        }
        Err(failure) => Err(failure),
    }
}

fn parse(json: &[u8], address: String) -> Result<Manifest, Failure> {
    match instead::of_manifest(json) {
        Some(found) => Err(Failure::Instead { file: FILE.to_owned(), address, found }),
        None => Ok(Manifest::from_json(json)?),
    }
}

/// Caches the manifest for visits without a connection, and removes the shards that only its predecessor names.
/// Errors are ignored: the pool reports that there is no cache.
async fn keep(base_url: &str, json: &[u8], manifest: &Manifest) {
    let last = cache::read_manifest(base_url).await;
    let last = last.and_then(|json| Manifest::from_json(&json).ok());
    let is_named = |old: &Shard| manifest.shards().iter().any(|new| new.sha256 == old.sha256);
    // Before the manifest that names them is gone: a page that ends in between leaves the rest to the next visit.
    for old in last.iter().flat_map(Manifest::shards).filter(|old| !is_named(old)) {
        cache::remove(old).await;
    }
    drop(cache::write_manifest(base_url, json).await);
}

/// The bytes of the manifest and the address that they came from.
async fn fetch(base_url: &str) -> Result<(Vec<u8>, String), Failure> {
    let cancel = Cancel::default();
    let url = format!("{base_url}{FILE}");
    let mut reply =
        http::get(&url, 0, Freshness::Checked, &cancel).await.map_err(|_| Failure::Offline)?;
    check_status(reply.status(), FILE)?;
    let address = reply.address();
    let mut json = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(|_: Trouble| Failure::Offline)? {
        if json.len() + chunk.length() as usize > MANIFEST_BYTES {
            let reason = format!("{FILE} is larger than {MANIFEST_BYTES} bytes");
            return Err(match instead::of_any_file(&json) {
                Some(found) if !json.is_empty() => {
                    Failure::Instead { file: FILE.to_owned(), address, found }
                }
                _ => Failure::Bundle { reason },
            });
        }
        json.extend_from_slice(&chunk.to_vec());
    }
    Ok((json, address))
}

/// Turns a status that is not a success into a failure.
pub fn check_status(status: u16, file: &str) -> Result<(), Failure> {
    let file = file.to_owned();
    match status {
        200..300 => Ok(()),
        404 | 410 => Err(Failure::NotFound { file }),
        _ => Err(Failure::Server { file, status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_manifest_is_said_with_its_address_and_what_to_do() {
        let page = b"<!DOCTYPE html><title>My app</title>";
        let failure = parse(page, "https://a.example/bundle/manifest.json".to_owned()).unwrap_err();
        assert_eq!(
            failure.message(),
            "The site sent a web page (“My app”) instead of the file `manifest.json` (at \
             https://a.example/bundle/manifest.json)"
        );
        assert!(failure.remedy().contains("tell the site's owner"), "{}", failure.remedy());
        assert_eq!(failure.code(), "instead");
        let other = br#"{"format": "quintet-bundle", "version": 99}"#;
        let failure = parse(other, String::new()).unwrap_err();
        assert!(matches!(&failure, Failure::Bundle { reason } if reason.contains("version 99")));
    }

    #[test]
    fn a_status_becomes_a_failure_that_a_visitor_can_act_on() {
        let file = || "x".to_owned();
        assert_eq!(check_status(206, "x"), Ok(()));
        assert_eq!(check_status(404, "x"), Err(Failure::NotFound { file: file() }));
        assert_eq!(check_status(503, "x"), Err(Failure::Server { file: file(), status: 503 }));
    }
}
