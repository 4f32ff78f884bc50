//! The way to a host: through which proxy, and which certificates are believed.
//!
//! | variable | meaning |
//! |---|---|
//! | `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_DIR` | PEM files, or folders of them, whose certificates are believed beside Mozilla's |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, else `ALL_PROXY` | the proxy for addresses that begin with `https`, `http` |
//! | `NO_PROXY` | hosts that are asked directly: names, which stand for their subdomains too, `*`, or ranges such as `10.0.0.0/8` |
//!
//! The names of proxies may be written in lower case, which goes first. Python's clients believe the named
//! certificates alone; here they are added, so that a file with a company's root shuts out no public host.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use super::environment::Environment;
use crate::error::UserError;

/// The variables that name certificates.
const CERTIFICATES: [&str; 4] =
    ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"];

/// Makes connections as the environment asks for.
pub(super) struct Network {
    tls: TlsConfig,
    https_proxy: Option<Proxy>,
    http_proxy: Option<Proxy>,
    no_proxy: Vec<String>,
    timeout: Duration,
}

impl Network {
    /// # Errors
    /// If a variable names certificates or a proxy that cannot be used.
    pub fn new(environment: &Environment) -> Result<Self> {
        let proxy = |scheme| proxy(environment, scheme);
        let no_proxy = either_case(environment, "NO_PROXY").map_or("", |(_, value)| value);
        Ok(Self {
            tls: TlsConfig::builder().root_certs(roots(environment)?).build(),
            https_proxy: proxy("HTTPS_PROXY")?,
            http_proxy: proxy("HTTP_PROXY")?,
            no_proxy: no_proxy.split(',').map(|host| host.trim().to_lowercase()).collect(),
            timeout: environment.timeout()?,
        })
    }

    /// A client for requests to this address. It follows no redirection and reports no status as an error.
    pub fn agent(&self, address: &Uri) -> Agent {
        let proxy = self.proxy(address).cloned();
        Agent::config_builder()
            .tls_config(self.tls.clone())
            .proxy(proxy)
            .max_redirects(0)
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("quintet/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .build()
            .into()
    }

    /// The proxy between here and this address.
    pub fn proxy(&self, address: &Uri) -> Option<&Proxy> {
        let host = address.host().unwrap_or_default().to_lowercase();
        let is_direct = |entry: &String| is_no_proxy(entry, &host, address.port_u16());
        if self.no_proxy.iter().any(is_direct) {
            return None;
        }
        match address.scheme_str() {
            Some("https") => self.https_proxy.as_ref(),
            _ => self.http_proxy.as_ref(),
        }
    }
}

/// Whether an entry of `NO_PROXY` means this host.
fn is_no_proxy(entry: &str, host: &str, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    if let (Some((network, bits)), Ok(host)) = (entry.split_once('/'), host.parse::<Ipv4Addr>()) {
        let (Ok(network), Ok(bits)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
            return false;
        };
        let differing = network.to_bits() ^ host.to_bits();
        return bits == 0 || bits <= 32 && differing >> (32 - bits) == 0;
    }
    let bare = |host: &str| host.trim_matches(['[', ']']).parse::<Ipv6Addr>().ok();
    if let Some(address) = bare(entry) {
        return bare(host) == Some(address);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, wanted)) if wanted.parse::<u16>().is_ok() => (name, wanted.parse().ok()),
        _ => (entry, None),
    };
    let name = name.trim_start_matches('*').trim_start_matches('.');
    let is_host = host == name || host.strip_suffix(name).is_some_and(|sub| sub.ends_with('.'));
    !name.is_empty() && is_host && (wanted.is_none() || wanted == port)
}

fn proxy(environment: &Environment, scheme: &'static str) -> Result<Option<Proxy>> {
    let named = either_case(environment, scheme);
    let Some((name, address)) = named.or_else(|| either_case(environment, "ALL_PROXY")) else {
        return Ok(None);
    };
    match Proxy::new(address.trim()) {
        Ok(proxy) => Ok(Some(proxy)),
        // The address may hold a password.
        Err(error) => Err(UserError::new(format!("{name} is not the address of a proxy: {error}"))
            .hint(format!("write it as {name}=http://HOST:PORT, or unset it"))
            .into()),
    }
}

/// A variable by its name in lower case, else in upper case, as Python looks for proxies.
fn either_case<'a>(
    environment: &'a Environment,
    name: &'static str,
) -> Option<(&'static str, &'a str)> {
    let lower = name.to_lowercase();
    let value = environment.get(&lower).or_else(|| environment.get(name))?;
    Some((name, value))
}

pub(super) fn roots(environment: &Environment) -> Result<RootCerts> {
    let mut added = Vec::new();
    for name in CERTIFICATES {
        if let Some(path) = environment.get(name) {
            added.extend(certificates(name, Path::new(path))?);
        }
    }
    if added.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    added.extend(public.iter().map(|root| Certificate::from_der(root)));
    Ok(RootCerts::from(added))
}

/// The certificates of a PEM file, or of all PEM files in a folder.
fn certificates(variable: &str, path: &Path) -> Result<Vec<Certificate<'static>>> {
    let refuse = |what: String| {
        UserError::new(format!("{variable} names `{}`, {what}", path.display())).hint(format!(
            "name a PEM file that holds the roots of your network, or unset {variable}"
        ))
    };
    let unreadable = |error: std::io::Error| refuse(format!("which cannot be read: {error}"));
    let files: Vec<PathBuf> = match path.is_dir() {
        true => fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(unreadable)?,
        false => vec![path.to_owned()],
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.is_dir()) {
        let bytes = match fs::read(file) {
            Err(_) if path.is_dir() => continue,
            bytes => bytes.map_err(unreadable)?,
        };
        found.extend(parse_pem(&bytes).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
    }
    if found.is_empty() && !path.is_dir() {
        return Err(refuse("which holds no certificate in PEM format".to_owned()).into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network<const N: usize>(variables: [(&str, &str); N]) -> Network {
        Network::new(&Environment::of("/", variables)).unwrap()
    }

    /// The port of the proxy for an address, so that a test can say which one it is.
    fn port(network: &Network, address: &str) -> Option<u16> {
        network.proxy(&address.parse().unwrap()).map(Proxy::port)
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = network([("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2")]);
        assert_eq!(port(&both, "https://huggingface.co/x"), Some(1));
        assert_eq!(port(&both, "http://huggingface.co/x"), Some(2));
        let lower_first = network([("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://a:3")]);
        assert_eq!(port(&lower_first, "https://x/"), Some(3));
        assert_eq!(port(&lower_first, "http://x/"), None);
        let all = network([("ALL_PROXY", "socks5://a:4"), ("HTTP_PROXY", "a:5")]);
        assert_eq!((port(&all, "https://x/"), port(&all, "http://x/")), (Some(4), Some(5)));
        assert_eq!(port(&network([("HTTPS_PROXY", "")]), "https://x/"), None);
    }

    #[test]
    fn hosts_of_no_proxy_are_asked_directly() {
        for (entries, address, is_direct) in [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://hub.example.com/", true),
            ("example.com", "https://notexample.com/", false),
            (".example.com", "https://hub.example.com/", true),
            ("*.example.com", "https://hub.EXAMPLE.com/", true),
            ("a.b, example.com ,c", "https://example.com/", true),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:8443", "https://example.com/", false),
            ("10.0.0.0/8", "https://10.20.30.40/", true),
            ("10.0.0.0/8", "https://11.20.30.40/", false),
            ("10.0.0.0/99", "https://10.20.30.40/", false),
            ("127.0.0.1", "https://127.0.0.1:8080/", true),
            ("::1", "https://[::1]:8080/", true),
            ("[fe80::1]", "https://[::1]/", false),
            ("*", "https://anything/", true),
            ("", "https://anything/", false),
        ] {
            let network = network([("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", entries)]);
            let expected = (!is_direct).then_some(1);
            assert_eq!(port(&network, address), expected, "{entries} for {address}");
        }
    }

    fn refused<const N: usize>(variables: [(&str, &str); N]) -> String {
        let error = Network::new(&Environment::of("/", variables)).err().expect("refused");
        let user = error.downcast_ref::<UserError>().expect("the user can mend it");
        format!("{user} / {}", user.remedy().unwrap())
    }

    #[test]
    fn a_proxy_that_is_none_is_refused_without_its_password() {
        let said = refused([("HTTPS_PROXY", "http://ann:secret@")]);
        assert!(said.starts_with("HTTPS_PROXY is not the address of a proxy"), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(refused([("all_proxy", "ftp://a")]).starts_with("ALL_PROXY is not"));
    }

    #[test]
    fn certificates_that_are_not_there_are_named_with_their_variable() {
        let said = refused([("REQUESTS_CA_BUNDLE", "/no/such.pem")]);
        assert!(said.contains("REQUESTS_CA_BUNDLE names `/no/such.pem`, which cannot"), "{said}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        fs::write(&file, "no certificate").unwrap();
        let said = refused([("SSL_CERT_FILE", file.to_str().unwrap())]);
        assert!(said.contains("holds no certificate in PEM format"), "{said}");
        assert!(said.ends_with("or unset SSL_CERT_FILE"), "{said}");
    }
}
