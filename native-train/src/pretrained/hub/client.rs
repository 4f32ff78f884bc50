//! Requests to the hub, and to the hosts that it redirects to.
//!
//! Redirections are followed here and not by the HTTP library, for two reasons: the token is sent to the hub's
//! own origin only, and the first address outside it is where a large file lies, while the hub's answer
//! says what it is.

use std::time::Duration;

use anyhow::Result;
use ureq::Body;
use ureq::http::{Response, StatusCode, Uri};

use super::cache::is_plain_name;
use super::environment::{Environment, Token};
use super::network::Network;

const MAX_REDIRECTS: usize = 10;

/// A hub, its token, and the way there.
pub(super) struct Client {
    pub endpoint: String,
    pub token: Option<Token>,
    origin: Origin,
    network: Network,
}

/// The hub's word on a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub commit: String,
    /// The name of its bytes: their sha256 for large files.
    pub etag: String,
    pub size: Option<u64>,
    /// The address of the bytes.
    pub address: String,
}

/// A request that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There was no answer, or it broke off.
    Connection { host: String, error: String },
    /// An answer other than the file.
    Status(Refusal),
    /// An answer that no hub gives.
    NotAHub(String),
}

/// The answer of a hub that does not give a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    /// The hub's word for it, such as `GatedRepo`.
    pub code: Option<String>,
    /// The hub's sentence.
    pub message: Option<String>,
    pub retry_after: Option<Duration>,
    /// The host, if it is not the hub's own.
    pub elsewhere: Option<String>,
}

/// Scheme, host and port of an address.
#[derive(Debug, PartialEq, Eq)]
struct Origin(String, String, u16);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    ForHeaders,
    /// For the bytes from this position.
    ForBytes(u64),
}

impl Client {
    /// # Errors
    /// If the environment names a hub, token, proxy or certificates that cannot be used.
    pub fn new(environment: &Environment) -> Result<Self> {
        let endpoint = environment.endpoint()?;
        let origin = endpoint.parse().ok().and_then(|uri| Origin::of(&uri));
        let origin = origin.ok_or_else(|| {
            crate::error::UserError::new(format!(
                "HF_ENDPOINT is `{endpoint}`, which names no host"
            ))
            .hint("write it as https://HOST, or unset it")
        })?;
        let (token, network) = (environment.token()?, Network::new(environment)?);
        Ok(Self { endpoint, token, origin, network })
    }

    /// Asks what and where a file is.
    pub fn describe(&self, id: &str, revision: &str, file: &str) -> Result<Remote, Failure> {
        let revision = revision.replace('/', "%2F");
        let address = format!("{}/{id}/resolve/{revision}/{file}", self.endpoint);
        let (address, response) = self.follow(address, Ask::ForHeaders)?;
        let missing = |header: &str| {
            Failure::NotAHub(format!("its answer has no header {header}, or a malformed one"))
        };
        let plain = |value: Option<&str>, header| {
            value
                .filter(|name| is_plain_name(name))
                .map(str::to_owned)
                .ok_or_else(|| missing(header))
        };
        let commit = plain(header(&response, "x-repo-commit"), "X-Repo-Commit")?;
        let etag = header(&response, "x-linked-etag").or_else(|| header(&response, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
        let moved = response.status().is_redirection();
        let size = header(&response, "x-linked-size")
            .and_then(|size| size.parse().ok())
            .or_else(|| length(&response).filter(|_| !moved));
        let address = match header(&response, "location").filter(|_| moved) {
            Some(location) => resolve(&address, location),
            None => address,
        };
        Ok(Remote { commit, etag: plain(etag, "ETag")?, size, address })
    }

    /// Asks for a file's bytes from `position` on. The answer may begin at 0 all the same.
    pub fn bytes(&self, address: &str, position: u64) -> Result<Response<Body>, Failure> {
        Ok(self.follow(address.to_owned(), Ask::ForBytes(position))?.1)
    }

    /// Follows redirections, and returns the last address with its answer.
    ///
    /// When asking for headers, a redirection that says which commit it belongs to is itself the answer if it
    /// says what the bytes are or leads out of the hub: what lies there knows nothing of commits.
    fn follow(&self, mut address: String, ask: Ask) -> Result<(String, Response<Body>), Failure> {
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = address.parse().map_err(|_| {
                Failure::NotAHub(format!("it leads to `{address}`, which is no address"))
            })?;
            let response = self.send(&uri, ask)?;
            let location =
                header(&response, "location").map(|location| resolve(&address, location));
            let Some(next) = location.filter(|_| is_redirection(response.status())) else {
                return match response.status().as_u16() {
                    200..=299 => Ok((address, response)),
                    _ => Err(Failure::Status(self.refusal(&uri, &response))),
                };
            };
            let leaves = next.parse().ok().and_then(|uri| Origin::of(&uri)) != Origin::of(&uri);
            let tells = |name| header(&response, name).is_some();
            let is_answer = tells("x-repo-commit") && (leaves || tells("x-linked-etag"));
            if ask == Ask::ForHeaders && is_answer {
                return Ok((address, response));
            }
            address = next;
        }
        Err(Failure::NotAHub(format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    fn send(&self, uri: &Uri, ask: Ask) -> Result<Response<Body>, Failure> {
        let agent = self.network.agent(uri);
        let mut request = match ask {
            Ask::ForHeaders => agent.head(uri.clone()),
            Ask::ForBytes(_) => agent.get(uri.clone()),
        };
        if let Ask::ForBytes(position @ 1..) = ask {
            request = request.header("Range", format!("bytes={position}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(uri)) {
            request = request.header("Authorization", format!("Bearer {}", token.value));
        }
        request.call().map_err(|error| Failure::Connection {
            host: host(uri),
            error: match self.network.proxy(uri) {
                Some(proxy) => {
                    format!("{error} (by the proxy {}:{})", proxy.host(), proxy.port())
                }
                None => error.to_string(),
            },
        })
    }

    fn is_own(&self, uri: &Uri) -> bool {
        Origin::of(uri).as_ref() == Some(&self.origin)
    }

    fn refusal(&self, uri: &Uri, response: &Response<Body>) -> Refusal {
        let text = |name| header(response, name).map(str::to_owned);
        let seconds = header(response, "retry-after").and_then(|value| value.trim().parse().ok());
        Refusal {
            status: response.status().as_u16(),
            code: text("x-error-code"),
            message: text("x-error-message"),
            retry_after: seconds.map(Duration::from_secs),
            elsewhere: (!self.is_own(uri)).then(|| host(uri)),
        }
    }
}

impl Refusal {
    /// Whether the repository is there, and only the file is not.
    pub fn is_of_file(&self) -> bool {
        let of_repository = ["RepoNotFound", "RevisionNotFound", "GatedRepo"];
        self.status == 404
            && !self.code.as_deref().is_some_and(|code| of_repository.contains(&code))
    }
}

impl Failure {
    /// Whether the same request may succeed a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Status(refusal) => matches!(refusal.status, 408 | 429 | 500 | 502 | 503 | 504),
            // A host that is not there, or is not trusted, will not be a second later.
            Self::Connection { error, .. } => !["refused", "host not found", "certificate"]
                .iter()
                .any(|lasting| error.to_lowercase().contains(lasting)),
            Self::NotAHub(_) => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some(Self(scheme, uri.host()?.to_lowercase(), port))
    }
}

fn is_redirection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(super) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The length of the body, unless it is compressed: then the length is not the file's.
pub(super) fn length(response: &Response<Body>) -> Option<u64> {
    let coding = header(response, "content-encoding").unwrap_or("identity");
    let length = header(response, "content-length")?.parse().ok()?;
    coding.eq_ignore_ascii_case("identity").then_some(length)
}

fn host(uri: &Uri) -> String {
    uri.host().unwrap_or_default().to_owned()
}

/// The address that a `Location` header of the answer from `base` means.
fn resolve(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = base.split_once("://").expect("a base is absolute");
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match location.starts_with('/') {
        true => format!("{scheme}://{host}{location}"),
        false => {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            format!("{scheme}://{host}{folder}{location}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_relative_to_the_address_that_they_come_from() {
        let base = "https://hub:8443/a/b?c=/d";
        for (location, expected) in [
            ("https://cdn/x?y", "https://cdn/x?y"),
            ("//cdn/x", "https://cdn/x"),
            ("/x/y", "https://hub:8443/x/y"),
            ("x", "https://hub:8443/a/x"),
        ] {
            assert_eq!(resolve(base, location), expected);
        }
        assert_eq!(resolve("http://hub", "x"), "http://hub/x");
    }

    #[test]
    fn origins_differ_in_scheme_host_or_port() {
        let origin = |address: &str| Origin::of(&address.parse().unwrap()).unwrap();
        assert_eq!(origin("https://Hub/a"), origin("https://hub:443/b"));
        for other in ["http://hub/", "https://hub:444/", "https://hub.evil/", "https://xhub/"] {
            assert_ne!(origin("https://hub/"), origin(other), "{other}");
        }
    }
}
