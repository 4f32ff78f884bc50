//! A hub of our own on this machine: real sockets, a made-up repository, and the faults of real networks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::pretrained::test_files::{CONFIG, fixture};

pub const ID: &str = "owner/tiny";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const TOKEN: &str = "hf_secret";

/// The files of the made-up hub and its behaviour.
#[derive(Clone, Default)]
pub struct Shelf {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Demanded of every request.
    pub token: Option<&'static str>,
    /// So many downloads of this file break off in the middle.
    pub cut: Option<(&'static str, usize)>,
    /// So many requests get this status first.
    pub busy: Option<(&'static str, usize)>,
    /// What every request gets: status, code, message.
    pub refusal: Option<(&'static str, &'static str, &'static str)>,
    /// Sends other bytes of large files than the hub told of.
    pub sends: Option<Vec<u8>>,
    /// Knows no ranges.
    pub whole: bool,
    /// Answers everything with a page, as a wrong address would.
    pub is_no_hub: bool,
    /// Takes its time before the bytes of a large file.
    pub slow: Duration,
    /// Compresses small files, whatever was asked for.
    pub compresses: bool,
    /// The origin that keeps the large files; else the hub itself does.
    pub content: Option<String>,
    /// The path that the hub moves all files to first, on its own host.
    pub moved_to: Option<&'static str>,
}

pub struct FakeHub {
    pub endpoint: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// Wraps a connection, for a hub with certificates.
pub type Wrap = Arc<dyn Fn(TcpStream) -> Box<dyn ReadWrite> + Send + Sync>;

pub trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Shelf {
    /// Like microsoft/deberta-v3-base: no safetensors, no tokenizer.json.
    pub fn torch() -> Self {
        Self::default()
            .with("config.json", CONFIG.as_bytes())
            .with("spm.model", b"pieces")
            .with("pytorch_model.bin", &weights())
    }

    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.files.insert(name.to_owned(), bytes.to_vec());
        self
    }

    pub fn serve(self) -> FakeHub {
        self.serve_by("http", Arc::new(|stream| Box::new(stream)))
    }

    pub fn serve_by(self, scheme: &str, wrap: Wrap) -> FakeHub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = if scheme == "https" { "localhost" } else { "127.0.0.1" };
        let endpoint = format!("{scheme}://{host}:{port}");
        let log = Arc::new(Mutex::new(Vec::new()));
        let hub = FakeHub { endpoint: endpoint.clone(), log: log.clone() };
        let shelf = Arc::new(Mutex::new(self));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shelf, endpoint, log) = (shelf.clone(), endpoint.clone(), log.clone());
                let (wrap, stream) = (wrap.clone(), stream.unwrap());
                thread::spawn(move || {
                    // A client may hang up: what it then reports is the test's business.
                    drop(answer(&shelf, &mut *wrap(stream), &endpoint, &log));
                });
            }
        });
        hub
    }
}

pub fn weights() -> Vec<u8> {
    fs::read(fixture("zip.bin")).unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The etag of a small file, as long as git's; that of a large one is its sha256.
pub fn etag(name: &str) -> String {
    sha256(name.as_bytes())[..40].to_owned()
}

fn answer(
    shelf: &Mutex<Shelf>,
    stream: &mut dyn ReadWrite,
    endpoint: &str,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let request = Request::read(stream)?;
    log.lock().unwrap().push(request.line());
    let Shelf {
        files,
        token,
        refusal,
        sends,
        whole,
        is_no_hub,
        slow,
        content,
        moved_to,
        compresses,
        ..
    } = shelf.lock().unwrap().clone();
    if is_no_hub {
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        );
    }
    if let Some((status, code, message)) = refusal {
        let headers = format!("X-Error-Code: {code}\r\nX-Error-Message: {message}\r\n");
        return refuse(stream, status, &headers);
    }
    if let Some(status) = take_one(&mut shelf.lock().unwrap().busy) {
        return refuse(stream, status, "");
    }
    let is_content = request.path.starts_with("/content/");
    if token.is_some_and(|token| request.token.as_deref() != Some(token)) && !is_content {
        return refuse(stream, "401 Unauthorized", "");
    }
    let mut path = request.path.as_str();
    match moved_to.map(|prefix| (prefix, path.strip_prefix(prefix))) {
        Some((_, Some(rest))) => path = rest,
        Some((prefix, None)) if !is_content => {
            return refuse(
                stream,
                "307 Temporary Redirect",
                &format!("Location: {prefix}{path}\r\n"),
            );
        }
        _ => {}
    }
    let resolve = [format!("/{ID}/resolve/main/"), format!("/{ID}/resolve/{COMMIT}/")];
    let name = resolve.iter().find_map(|prefix| path.strip_prefix(prefix.as_str()));
    let Some(name) = name.or_else(|| path.strip_prefix("/content/")) else {
        return refuse(stream, "404 Not Found", "");
    };
    let Some(bytes) = files.get(name) else {
        return refuse(stream, "404 Not Found", &format!("X-Repo-Commit: {COMMIT}\r\n"));
    };
    let is_large = name.ends_with(".bin");
    // Large files lie elsewhere, and their address must come from a redirection.
    if is_large && !is_content {
        let headers = format!(
            "Location: {}/content/{name}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{}\"\r\n\
             X-Linked-Size: {}\r\n",
            content.as_deref().unwrap_or(endpoint),
            sha256(bytes),
            bytes.len()
        );
        return refuse(stream, "302 Found", &headers);
    }
    let bytes = if is_large { sends.as_ref().unwrap_or(bytes) } else { bytes };
    if compresses && !is_large {
        return send_packed(stream, name, &request, &gzip(bytes));
    }
    if is_large && request.method == "GET" {
        thread::sleep(slow);
    }
    let is_cut = is_large && request.method == "GET" && {
        let mut shelf = shelf.lock().unwrap();
        shelf.cut.is_some_and(|(file, _)| file == name) && take_one(&mut shelf.cut).is_some()
    };
    let share = if is_cut { Share::Half } else { Share::Whole };
    send(stream, name, &request, (bytes, share), whole)
}

/// How much of what was asked for is sent before the connection breaks off.
#[derive(PartialEq)]
enum Share {
    Half,
    Whole,
}

/// Sends a file, or the part of it that the request asks for, unless ranges are unknown here.
fn send(
    stream: &mut dyn ReadWrite,
    name: &str,
    request: &Request,
    (bytes, share): (&[u8], Share),
    knows_no_ranges: bool,
) -> io::Result<()> {
    let first = if knows_no_ranges { 0 } else { request.first.unwrap_or(0) };
    if first > 0 && first >= bytes.len() {
        return refuse(stream, "416 Range Not Satisfiable", "");
    }
    let part = &bytes[first..];
    let status = match request.first {
        Some(_) if !knows_no_ranges => {
            let (last, length) = (bytes.len() - 1, bytes.len());
            format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}")
        }
        _ => "200 OK".to_owned(),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        etag(name),
        part.len()
    )?;
    if request.method == "HEAD" {
        return stream.flush();
    }
    stream.write_all(if share == Share::Half { &part[..part.len() / 2] } else { part })?;
    stream.flush()
}

fn send_packed(
    stream: &mut dyn ReadWrite,
    name: &str,
    request: &Request,
    packed: &[u8],
) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nETag: W/\"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        etag(name),
        packed.len()
    )?;
    if request.method == "GET" {
        stream.write_all(packed)?;
    }
    stream.flush()
}

/// A gzip file whose only block is stored as it is.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let crc = !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(bytes);
    packed.extend(crc.to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

/// Uses up one of the times that something happens.
fn take_one(times: &mut Option<(&'static str, usize)>) -> Option<&'static str> {
    let (what, left) = times.as_mut()?;
    *left = left.checked_sub(1)?;
    Some(what)
}

fn refuse(stream: &mut dyn ReadWrite, status: &str, headers: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")?;
    stream.flush()
}

struct Request {
    method: String,
    path: String,
    /// The first byte that is asked for.
    first: Option<usize>,
    token: Option<String>,
}

impl Request {
    fn read(stream: &mut dyn ReadWrite) -> io::Result<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Self { method, path, first: None, token: None };
        for line in lines {
            let line = line?;
            let Some((header, value)) = line.split_once(": ") else { break };
            match header.to_ascii_lowercase().as_str() {
                "range" => {
                    let range =
                        value.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
                    request.first = range.and_then(|(first, _)| first.parse().ok());
                }
                "authorization" => {
                    request.token = value.strip_prefix("Bearer ").map(str::to_owned);
                }
                _ => {}
            }
        }
        Ok(request)
    }

    fn line(&self) -> String {
        let range = self.first.map_or_else(String::new, |first| format!(" {first}-"));
        let token = self.token.as_ref().map_or_else(String::new, |token| format!(" ({token})"));
        format!("{} {}{range}{token}", self.method, self.path)
    }
}

impl FakeHub {
    pub fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn asked_for(&self, file: &str) -> bool {
        self.requests().iter().any(|line| line.contains(&format!("/{file}")))
    }

    pub fn downloads_of(&self, file: &str) -> usize {
        let download = format!("GET /content/{file}");
        self.requests().iter().filter(|line| line.starts_with(&download)).count()
    }
}

/// A hub that nobody answers for: the port was free a moment ago.
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
