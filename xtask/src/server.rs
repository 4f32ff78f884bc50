//! A static file server on 127.0.0.1 for one test: std only, one thread a connection.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result};

/// Serves a folder until the process ends, and remembers what it was asked for and did not have.
pub struct Server {
    port: u16,
    missing: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts on a free port.
    pub fn start(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr().context("the listener has no address")?.port();
        let missing = Arc::new(Mutex::new(Vec::new()));
        let (folder, noted) = (folder.to_owned(), Arc::clone(&missing));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, noted) = (folder.clone(), Arc::clone(&noted));
                // A browser that hangs up early is its own affair.
                thread::spawn(move || drop(respond(&stream, &folder, &noted)));
            }
        });
        Ok(Self { port, missing })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The paths answered with 404 so far.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().expect("no thread panics holding it").clone()
    }
}

fn respond(stream: &TcpStream, folder: &Path, missing: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // Read the headers to their end: closing on unread bytes would reset the connection.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}

    let target = request.split(' ').nth(1).unwrap_or("/");
    match read(folder, target) {
        Some((kind, body)) => write_response(stream, "200 OK", kind, &body),
        None => {
            missing.lock().expect("no thread panics holding it").push(target.to_owned());
            write_response(stream, "404 Not Found", "text/plain", b"")
        }
    }
}

/// The content type and the bytes of what a request target names inside `folder`.
fn read(folder: &Path, target: &str) -> Option<(&'static str, Vec<u8>)> {
    let path = target.split(['?', '#']).next()?.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let file = folder.join(if path.is_empty() { "index.html" } else { path });
    Some((content_type(&file), fs::read(&file).ok()?))
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

fn write_response(mut to: &TcpStream, status: &str, kind: &str, body: &[u8]) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n")?;
    write!(to, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    to.write_all(body)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn get(server: &Server, target: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        write!(stream, "GET {target} HTTP/1.1\r\nHost: here\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn serves_the_folder_alone_and_notes_what_it_lacks() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let server = Server::start(&folder).expect("a free port");
        let found = get(&server, "/main.rs?x=1");
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
        assert!(found.contains("fn main()"));
        for outside in ["/../Cargo.toml", "//etc/hostname/../hostname", "/no-such-file"] {
            assert!(get(&server, outside).starts_with("HTTP/1.1 404"), "{outside}");
        }
        assert_eq!(server.missing().len(), 3);
    }
}
