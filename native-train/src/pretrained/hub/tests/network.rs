//! Tokens and redirections, certificates, proxies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server::{FakeHub, Wrap};
use super::*;

fn with_token(endpoint: &str, home: &TempDir) -> Hub {
    let mut hub = client(endpoint, home);
    hub.environment.set("HF_TOKEN", TOKEN);
    hub
}

#[test]
fn the_token_stays_with_the_hub_when_a_file_lies_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = Shelf::torch().serve();
    let content = Some(elsewhere.endpoint.clone());
    let hub = Shelf { token: Some(TOKEN), content, ..Shelf::torch() }.serve();
    let folder = with_token(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), weights());
    assert_eq!(elsewhere.requests(), ["GET /content/pytorch_model.bin"]);
    assert!(hub.requests().iter().all(|line| line.ends_with("(hf_secret)")));
}

/// A mirror that sends everything on, and a repository that was renamed.
#[test]
fn redirections_of_the_hub_are_followed() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { token: Some(TOKEN), moved_to: Some("/new"), ..Shelf::torch() }.serve();
    with_token(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(
        hub.requests().contains(&format!("GET /new/{ID}/resolve/main/config.json (hf_secret)"))
    );

    let home = tempfile::tempdir().unwrap();
    let other = Shelf::torch().serve();
    let prefix: &'static str = Box::leak(other.endpoint.clone().into_boxed_str());
    let mirror = Shelf { moved_to: Some(prefix), ..Shelf::torch() }.serve();
    with_token(&mirror.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(other.requests().iter().all(|line| !line.contains(TOKEN)), "{:?}", other.requests());
}

#[test]
fn redirections_in_a_circle_end() {
    let home = tempfile::tempdir().unwrap();
    // Whatever is asked for is sent to a path that is sent on in turn.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            drop(stream.read(&mut request));
            let head = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
            drop(stream.write_all(head.as_bytes()));
        }
    });
    let (message, _) = refused(client(&endpoint, &home).fetch(ID, "main"));
    assert!(message.ends_with("it redirects more than 10 times"), "{message}");
}

/// A hub whose certificate was issued by a root of its own, and that root as PEM.
fn hub_with_own_root(shelf: Shelf) -> (FakeHub, String) {
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(root, key);
    let server_key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate =
        CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let config = Arc::new(config);
    let wrap: Wrap = Arc::new(move |stream: TcpStream| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    });
    (shelf.serve_by("https", wrap), root_pem)
}

#[test]
fn a_companys_root_is_believed_if_a_variable_names_it() {
    let home = tempfile::tempdir().unwrap();
    let (hub, root) = hub_with_own_root(Shelf::torch());
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.contains("certificate") && message.contains("UnknownIssuer"), "{message}");
    assert!(hint.contains("SSL_CERT_FILE"), "{hint}");

    let roots = home.path().join("roots");
    fs::create_dir(&roots).unwrap();
    let file = roots.join("company.pem");
    fs::write(&file, format!("The root of the company\n{root}")).unwrap();
    let (file, roots) = (file.to_str().unwrap(), roots.to_str().unwrap());
    for (variable, path) in [
        ("SSL_CERT_FILE", file),
        ("REQUESTS_CA_BUNDLE", file),
        ("CURL_CA_BUNDLE", file),
        ("REQUESTS_CA_BUNDLE", roots),
        ("SSL_CERT_DIR", roots),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut client = client(&hub.endpoint, &home);
        client.environment.set(variable, path);
        let folder = client.fetch(ID, "main").unwrap();
        assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), weights(), "{variable}");
    }
}

/// Mozilla's roots stay: a company's file shuts out no public host.
#[test]
fn named_roots_are_added_to_the_public_ones() {
    let (_hub, root) = hub_with_own_root(Shelf::torch());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.pem");
    fs::write(&file, root).unwrap();
    let roots = |variables: &[(&str, &str)]| {
        let mut environment = Environment::of("/", []);
        for (name, value) in variables {
            environment.set(name, value);
        }
        crate::pretrained::hub::network::roots(&environment).unwrap()
    };
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
    assert!(public > 100);
    match roots(&[("SSL_CERT_FILE", file.to_str().unwrap())]) {
        ureq::tls::RootCerts::Specific(all) => assert_eq!(all.len(), public + 1),
        other => panic!("{other:?}"),
    }
    assert!(matches!(roots(&[]), ureq::tls::RootCerts::WebPki));
}

/// A proxy that opens connections (`CONNECT`) to one address, whatever is asked for.
fn proxy_to(address: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut near = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && near.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"CONNECT hub.invalid:80 "));
            let mut far = TcpStream::connect(&address).unwrap();
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut back, mut forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut near, &mut far));
            thread::spawn(move || std::io::copy(&mut forth, &mut back));
        }
    });
    proxy
}

#[test]
fn a_proxy_is_asked_unless_the_host_is_excepted() {
    let hub = Shelf::torch().serve();
    let proxy = proxy_to(hub.endpoint.trim_start_matches("http://").to_owned());
    let home = tempfile::tempdir().unwrap();
    let mut behind = client("http://hub.invalid", &home);
    behind.environment.set("NO_PROXY", "other.invalid");
    behind.environment.set("HTTP_PROXY", &proxy);
    behind.environment.set("HF_HUB_DISABLE_SYMLINKS", "1");
    // Its large file lies at the hub's true address, which is asked directly.
    behind.environment.set("NO_PROXY", "127.0.0.1");
    behind.fetch(ID, "main").unwrap();

    let home = tempfile::tempdir().unwrap();
    let dead = nobody();
    let mut hub_client = client(&hub.endpoint, &home);
    hub_client.environment.set("HTTP_PROXY", &dead);
    hub_client.environment.set("NO_PROXY", "");
    let (message, hint) = refused(hub_client.fetch(ID, "main"));
    assert!(message.contains("by the proxy 127.0.0.1:"), "{message}");
    assert!(hint.contains("HTTPS_PROXY"), "{hint}");
}
