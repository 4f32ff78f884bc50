//! The download of the manifest. Its name is fixed, so it is requested on every visit.
//!
//! | answer | what a visitor is told |
//! |---|---|
//! | a manifest of this version, within its limits | nothing: it is used |
//! | a manifest of another version, or one that asks for too much | which field, as [`Failure::Bundle`] |
//! | a page, nothing, part of a file, another file | what came from which address, as [`Failure::Instead`] (`instead`) |
//! | a manifest of another integrity than the page asks for | its address, as [`Failure::Altered`] |
//! | 404 or 410, another status | that it is missing, or the status |
//! | no answer | the manifest of the last visit is used, if there was one |

use shared::bundle::{MANIFEST_BYTES, Manifest, Shard};

use crate::failure::Failure;
use crate::http::{self, Cancel, Freshness, Trouble};
use crate::source::Source;
use crate::{cache, instead};

const FILE: &str = "manifest.json";

/// Fetches and checks `manifest.json` in the folder of `source`. If the site cannot be reached, the manifest of the last
/// visit is used; so it is, and nothing is fetched, if it has the integrity that the page asks for.
///
/// # Errors
/// If the manifest cannot be fetched and none is cached, or it is not valid.
pub async fn fetch_manifest(source: &Source) -> Result<Manifest, Failure> {
    let kept = cache::read_manifest(source.folder()).await;
    let of_kept = || kept.as_ref().and_then(|kept| Manifest::from_json(kept).ok());
    if kept.as_ref().is_some_and(|kept| source.is_settled_by(kept))
        && let Some(manifest) = of_kept()
    {
        return Ok(manifest);
    }
    match fetch(source.folder()).await {
        Ok((json, address)) => {
            let manifest = parse(&json, address, source)?;
            keep(source.folder(), &json, &manifest, of_kept().as_ref()).await;
            Ok(manifest)
        }
        Err(Failure::Offline) => kept
            .as_ref()
            .filter(|kept| source.check(kept, "").is_ok())
            .and_then(|_| of_kept())
            .ok_or(Failure::Offline),
        Err(failure) => Err(failure),
    }
}

fn parse(json: &[u8], address: String, source: &Source) -> Result<Manifest, Failure> {
    if let Some(found) = instead::of_manifest(json) {
        return Err(Failure::Instead { file: FILE.to_owned(), address, found });
    }
    source.check(json, &address)?;
    Ok(Manifest::from_json(json)?)
}

/// Caches the manifest for visits without a connection, and removes the shards that only the one of the last visit names.
/// Errors are ignored: the pool reports that there is no cache.
async fn keep(base_url: &str, json: &[u8], manifest: &Manifest, last: Option<&Manifest>) {
    let is_named = |old: &Shard| manifest.shards().iter().any(|new| new.sha256 == old.sha256);
    // Before the manifest that names them is gone: a page that ends in between leaves the rest to the next visit.
    for old in last.into_iter().flat_map(Manifest::shards).filter(|old| !is_named(old)) {
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
    use shared::bundle::Integrity;

    use super::*;

    #[test]
    fn what_is_no_manifest_is_said_with_its_address_and_what_to_do() {
        let page = b"<!DOCTYPE html><title>My app</title>";
        let source = Source::of_test("https://a.example/bundle/", None);
        let address = || "https://a.example/bundle/manifest.json".to_owned();
        let failure = parse(page, address(), &source).unwrap_err();
        assert_eq!(
            failure.message(),
            "The site sent a web page (“My app”) instead of the file `manifest.json` (at \
             https://a.example/bundle/manifest.json)"
        );
        assert!(failure.remedy().contains("tell the site's owner"), "{}", failure.remedy());
        assert_eq!(failure.code(), "instead");
        let other = br#"{"format": "quintet-bundle", "version": 99}"#;
        let failure = parse(other, address(), &source).unwrap_err();
        assert!(matches!(&failure, Failure::Bundle { reason } if reason.contains("version 99")));

        // Of a bundle that is pinned, another manifest is altered, whatever it says; a page is still a page.
        let pinned = Source::of_test("https://a.example/bundle/", Some(Integrity::of(b"{}")));
        let failure = parse(other, address(), &pinned).unwrap_err();
        assert_eq!(failure, Failure::Altered { address: address() });
        assert_eq!(parse(page, address(), &pinned).unwrap_err().code(), "instead");
    }

    #[test]
    fn a_status_becomes_a_failure_that_a_visitor_can_act_on() {
        let file = || "x".to_owned();
        assert_eq!(check_status(206, "x"), Ok(()));
        assert_eq!(check_status(404, "x"), Err(Failure::NotFound { file: file() }));
        assert_eq!(check_status(503, "x"), Err(Failure::Server { file: file(), status: 503 }));
    }
}
