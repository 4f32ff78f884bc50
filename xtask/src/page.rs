//! `cargo xtask page`: the page in `dist`, for a bundle beside it or on another site.
//!
//! A bundle on another site is named in the page by an element that says where it is and which manifest it must have, and
//! the page's security policy allows requests to that site and to no other.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fs_err as fs;

use crate::setup;
use crate::shell::Shell;
use crate::site::{self, Site};
use crate::workspace::{Workspace, remove_folder};

/// The directive of the policy for what the page fetches.
const CONNECT: &str = "connect-src 'self'";

/// The element is put before this one.
const PLACE: &str = "<meta name=\"viewport\"";

#[derive(clap::Args)]
pub struct Arguments {
    /// The bundle's folder on another site, such as `https://cdn.example/bundle/` [default: `bundle/` beside the page]
    #[arg(long, value_name = "URL", requires = "integrity")]
    pub bundle: Option<String>,

    /// The integrity of its manifest.json, which `native-train inspect BUNDLE` prints
    #[arg(long, value_name = "SHA256", requires = "bundle")]
    pub integrity: Option<String>,

    /// Another site that this one redirects to, such as `https://*.hf.co`; may be repeated
    #[arg(long, value_name = "ORIGIN", requires = "bundle")]
    pub allow: Vec<String>,
}

/// Builds the page.
///
/// # Errors
/// If trunk fails, or an argument is not what it says.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let elsewhere = Elsewhere::of(arguments)?;
    setup::for_the_page(workspace)?;
    site::build_page(&Shell::new(workspace))?;
    let dist = Site::of(workspace).dist;
    if let Some(elsewhere) = elsewhere {
        let policy = elsewhere.write_into(&dist)?;
        remove_folder(&dist.join("bundle"))?;
        println!("{} takes its models from {}", dist.display(), elsewhere.bundle);
        println!("its policy has {policy}");
    }
    Ok(())
}

/// A bundle on another site.
pub struct Elsewhere {
    bundle: String,
    integrity: String,
    /// The sites that the page may ask: that of the bundle, and those it redirects to.
    origins: Vec<String>,
}

impl Elsewhere {
    fn of(arguments: &Arguments) -> Result<Option<Self>> {
        let Arguments { bundle: Some(bundle), integrity: Some(integrity), allow } = arguments
        else {
            return Ok(None);
        };
        Self::new(bundle, integrity, allow).map(Some)
    }

    /// # Errors
    /// If the address is none of another site, or the integrity is no sha256.
    pub fn new(bundle: &str, integrity: &str, allow: &[String]) -> Result<Self> {
        let hash = integrity.strip_prefix("sha256-").map(|hash| BASE64_STANDARD.decode(hash));
        ensure!(
            matches!(hash, Some(Ok(hash)) if hash.len() == 32),
            "`--integrity {integrity}` is not `sha256-` and a hash in base64, as `native-train inspect BUNDLE` prints it"
        );
        let mut origins = vec![origin("--bundle", bundle)?.to_owned()];
        for allowed in allow {
            let allowed_origin = origin("--allow", allowed)?;
            ensure!(
                allowed.trim_end_matches('/') == allowed_origin,
                "`--allow {allowed}` has more than scheme and host: give `{allowed_origin}`"
            );
            origins.push(allowed_origin.to_owned());
        }
        let bundle = format!("{}/", bundle.trim_end_matches("manifest.json").trim_end_matches('/'));
        Ok(Self { bundle, integrity: integrity.to_owned(), origins })
    }

    /// Writes it into `index.html` of a built page; returns the policy's directive.
    ///
    /// # Errors
    /// If the file cannot be read or written, or has another form than a built page.
    pub fn write_into(&self, page: &Path) -> Result<String> {
        let path = page.join("index.html");
        let html = fs::read_to_string(&path)?;
        let directive = format!("{CONNECT} {}", self.origins.join(" "));
        let (before, after) = html
            .split_once(CONNECT)
            .filter(|(_, after)| after.starts_with(';'))
            .with_context(|| format!("`{}` has no policy with `{CONNECT}`", path.display()))?;
        let html = format!("{before}{directive}{after}");
        let (before, after) = html
            .split_once(PLACE)
            .with_context(|| format!("`{}` has no `{PLACE}`", path.display()))?;
        let Self { bundle, integrity, .. } = self;
        let element = format!(
            "<meta name=\"quintet-bundle\" content=\"{bundle}\" data-integrity=\"{integrity}\" />"
        );
        fs::write(&path, format!("{before}{element}\n    {PLACE}{after}"))?;
        Ok(directive)
    }
}

/// The scheme, host and port of an address. What browsers do not take for one, or HTML for text, is refused.
fn origin<'a>(flag: &str, address: &'a str) -> Result<&'a str> {
    let secure = ["https://", "http://127.0.0.1", "http://localhost"];
    ensure!(
        secure.iter().any(|beginning| address.starts_with(beginning)),
        "`{flag} {address}` does not begin with https://"
    );
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+*".contains(c);
    ensure!(
        address.chars().all(is_plain),
        "`{flag} {address}` has other characters than an address of a folder"
    );
    let host = address.find("://").expect("checked above") + 3;
    Ok(address[host..].find('/').map_or(address, |slash| &address[..host + slash]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn the_page_names_the_bundle_and_its_policy_the_sites() {
        let folder = tempfile::tempdir().expect("a folder");
        let index = folder.path().join("index.html");
        let source = include_str!("../../static/index.html");
        fs::write(&index, source).expect("it is written");
        let allowed = ["https://*.hf.co".to_owned()];
        let elsewhere =
            Elsewhere::new("https://cdn.example:8443/a/bundle/manifest.json", HASH, &allowed);
        let directive = elsewhere.expect("it is one").write_into(folder.path()).expect("a page");
        assert_eq!(directive, "connect-src 'self' https://cdn.example:8443 https://*.hf.co");
        let html = fs::read_to_string(&index).expect("it is there");
        assert!(html.contains(&format!("; {directive}; ")), "{html}");
        let element = format!(
            "<meta name=\"quintet-bundle\" content=\"https://cdn.example:8443/a/bundle/\" data-integrity=\"{HASH}\" />"
        );
        assert!(html.contains(&element), "{html}");
        // A second time there is no such policy any more.
        let elsewhere = Elsewhere::new("https://cdn.example/b", HASH, &[]).expect("it is one");
        assert!(elsewhere.write_into(folder.path()).is_err());
    }

    #[test]
    fn what_is_no_bundle_elsewhere_is_refused() {
        for (bundle, integrity, allow, expected) in [
            ("http://cdn.example/", HASH, None, "does not begin with https://"),
            ("bundle/", HASH, None, "does not begin with https://"),
            ("https://a.example/\"x", HASH, None, "other characters"),
            ("https://a.example/ https://b.example", HASH, None, "other characters"),
            ("https://a.example/", "sha256-abc", None, "is not `sha256-`"),
            ("https://a.example/", HASH, Some("https://b.example/c"), "give `https://b.example`"),
        ] {
            let allow: Vec<String> = allow.into_iter().map(str::to_owned).collect();
            let error = Elsewhere::new(bundle, integrity, &allow).err().expect("it is refused");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
