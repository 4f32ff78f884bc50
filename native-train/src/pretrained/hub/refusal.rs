//! Words for a model that cannot be had: what was asked for, what the hub answered, and what to do.
//!
//! | answer | words |
//! |---|---|
//! | 404 `RepoNotFound`, `RevisionNotFound` | there is no such repository, no such revision |
//! | 401, 403 `GatedRepo` | its terms are to be accepted; with a token: by the account that the token belongs to |
//! | 401 | no such repository, or a private one; with a token: the token is wrong or may not read it |
//! | 403, 429, 5xx, others | the status and the hub's own sentence |
//! | no answer | the host, the error, and what may stand in between: proxy, certificates |
//! | 200 without `X-Repo-Commit` and `ETag` | no hub: a login page, or a wrong `HF_ENDPOINT` |

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::Context;
use indicatif::HumanBytes;

use super::client::{Client, Failure, Refusal};
use crate::error::UserError;

/// A repository's name in messages.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub id: &'a str,
    pub revision: &'a str,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            "main" => write!(f, "`{}`", self.id),
            revision => write!(f, "`{}@{revision}`", self.id),
        }
    }
}

/// The ways round a download that does not work.
const OR_A_FOLDER: &str = "or download the model's files into a folder and pass that";

/// The repository has none of these files.
pub(super) fn not_found(client: &Client, name: Name, files: &[&str]) -> anyhow::Error {
    let files = files.join(", ");
    UserError::new(format!("{name} at {} has no {files}", client.endpoint))
        .hint("check the name and the revision, or pass a folder that exists")
        .into()
}

/// Files are missing, and no request may be made.
pub(super) fn offline(switch: &str, name: Name, files: &[&str], folder: &Path) -> anyhow::Error {
    let files = files.join(", ");
    let which = if files.contains(',') { "has none of" } else { "has no" };
    UserError::new(format!(
        "the cache {which} {files} of {name} (looked in `{}`), and {switch} forbids to download it",
        folder.display()
    ))
    .hint(
        "unset it for one run with a network, copy the cache of a machine that has the model, \
         name another cache in HF_HUB_CACHE, or pass a folder that holds the model's files",
    )
    .into()
}

/// The request for `file` failed.
pub(super) fn failed(client: &Client, name: Name, file: &str, failure: Failure) -> anyhow::Error {
    let endpoint = &client.endpoint;
    match failure {
        Failure::Status(refusal) => refused(client, name, file, &refusal),
        Failure::NotAHub(why) => {
            UserError::new(format!("{endpoint} does not answer like a Hugging Face hub: {why}"))
                .hint("check HF_ENDPOINT, and whether your network asks for a login first")
                .into()
        }
        Failure::Connection { host, error } => {
            let place = match endpoint.contains(&host) {
                true => endpoint.clone(),
                false => format!("{host}, where {endpoint} keeps it,"),
            };
            let hint = match error.to_lowercase().contains("certificate") {
                true => {
                    "if your network puts a certificate of its own before the hub's, name a PEM file \
                     with your company's root in SSL_CERT_FILE"
                }
                false => {
                    "check the network, HF_ENDPOINT and HTTPS_PROXY, or pass a folder that holds the \
                     model's files"
                }
            };
            UserError::new(format!("cannot reach {place} for `{file}` of {name}: {error}"))
                .hint(hint)
                .into()
        }
    }
}

fn refused(client: &Client, name: Name, file: &str, refusal: &Refusal) -> anyhow::Error {
    let Client { endpoint, token, .. } = client;
    let Refusal { status, code, message, elsewhere, .. } = refusal;
    let id = name.id;
    let page = format!("{endpoint}/{id}");
    let (what, hint) = match (status, code.as_deref(), token) {
        _ if elsewhere.is_some() => {
            let host = elsewhere.as_deref().unwrap_or_default();
            (
                format!("{host}, where {endpoint} keeps `{file}` of {name}, answers HTTP {status}"),
                format!("try again, {OR_A_FOLDER}"),
            )
        }
        (_, Some("GatedRepo"), None) => (
            format!("{name} is gated (HTTP {status}): its owner wants its terms accepted first"),
            format!("accept them on {page}, then set HF_TOKEN to a token of that account"),
        ),
        (_, Some("GatedRepo"), Some(token)) => (
            format!(
                "{name} is gated (HTTP {status}), and the account of the token in {} has no access",
                token.origin
            ),
            format!(
                "accept the terms on {page} with that account and wait until they are granted; a \
                 fine-grained token must be allowed to read gated repositories"
            ),
        ),
        (_, Some("RepoNotFound"), None) | (401, _, None) => (
            format!(
                "{endpoint} refuses {name} (HTTP {status}): it does not exist, or it is private or gated"
            ),
            format!(
                "check the name; for a private or gated model accept its terms on {page} and set HF_TOKEN, \
                 or log in with `hf auth login`"
            ),
        ),
        (_, Some("RepoNotFound"), Some(token)) => (
            format!(
                "{endpoint} refuses {name} (HTTP {status}): it does not exist, or the token in {} may not \
                 read it",
                token.origin
            ),
            "check the name, and that the token belongs to an account which may see it".to_owned(),
        ),
        (_, Some("RevisionNotFound"), _) => (
            format!("`{id}` at {endpoint} has no revision `{}`", name.revision),
            format!("choose a branch, tag or commit from {page}/commits/main"),
        ),
        (401, _, Some(token)) => (
            format!("{endpoint} does not accept the token in {} (HTTP 401)", token.origin),
            "make a new token, or unset it: a public model needs none".to_owned(),
        ),
        (403, _, _) => (
            format!("{endpoint} forbids access to {name} (HTTP 403)"),
            match token {
                Some(token) => format!(
                    "see {page}: access may be disabled, or the token in {} may not read it",
                    token.origin
                ),
                None => format!("see {page}: it may need an account's token in HF_TOKEN"),
            },
        ),
        (429, ..) => (
            format!("{endpoint} gets too many requests from here (HTTP 429)"),
            "wait some minutes, or set HF_TOKEN: who is logged in may ask more often".to_owned(),
        ),
        _ => (
            format!("{endpoint} answers HTTP {status} for `{file}` of {name}"),
            format!("try again later, {OR_A_FOLDER}"),
        ),
    };
    let said = message.as_ref().map_or_else(String::new, |said| format!("; it says: {said}"));
    UserError::new(what + &said).hint(hint).into()
}

/// The bytes that arrived are not the file.
pub(super) fn wrong_bytes(client: &Client, name: Name, file: &str, why: &str) -> anyhow::Error {
    UserError::new(format!(
        "what {} sent for `{file}` of {name} is not the file: {why}; it was removed",
        client.endpoint
    ))
    .hint(format!(
        "try again; if it stays so, a proxy changes downloads: use another network, {OR_A_FOLDER}"
    ))
    .into()
}

/// A file of the cache cannot be written.
pub(super) fn unwritable(
    error: io::Error,
    name: Name,
    file: &str,
    size: Option<u64>,
    path: &Path,
) -> anyhow::Error {
    let folder = path.parent().unwrap_or(path).display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            let needs = match size {
                Some(size) => format!("needs {}", HumanBytes(size)),
                None => "does not fit".to_owned(),
            };
            UserError::new(format!("the disk of `{folder}` is full: `{file}` of {name} {needs}"))
                .hint("make room, or name a folder on another disk in HF_HUB_CACHE")
                .into()
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            UserError::new(format!("cannot write `{file}` of {name} into `{folder}`: {error}"))
                .hint("name a folder that you may write to in HF_HUB_CACHE")
                .into()
        }
        _ => Err::<(), _>(error)
            .with_context(|| format!("downloading `{file}` of {name} into `{folder}`"))
            .expect_err("it is one"),
    }
}
