//! A static file server on 127.0.0.1: shows the page to a person (`demo`) and to the browser tests, which can make it
//! misbehave ([`Fault`]) and read what was asked of it ([`Asked`]). std only, one thread a connection.
//!
//! It promises a browser nothing about keeping files (`Cache-Control: no-cache` and no validator), so that what is on
//! the disk is what is shown.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

mod fault;
mod files;
mod http;

pub use fault::Fault;
use fault::Faults;
use files::Mount;
use http::Request;

/// A connection that sends no request for so long is a spare one: browsers open some.
const PATIENCE: Duration = Duration::from_mins(2);

/// Serves until the process ends.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    folders: Vec<Mount>,
    /// Whether pages of other sites may read the answers.
    is_open: bool,
    faults: Faults,
    log: Mutex<Vec<Asked>>,
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// With the query, if there is one.
    pub target: String,
    /// The header `Range`.
    pub range: Option<String>,
    pub at: SystemTime,
    /// The status answered with; 0 where a fault left the request without an answer.
    pub status: u16,
}

impl Server {
    /// Serves each folder under its path (`/`, `/bundle/`) on `port`; 0 is any that is free.
    pub fn start(port: u16, folders: &[(&str, &Path)]) -> Result<Self> {
        Self::begin(port, folders, false)
    }

    /// As [`Server::start`], for the pages of all sites, as networks that distribute files do.
    pub fn start_for_all_sites(port: u16, folders: &[(&str, &Path)]) -> Result<Self> {
        Self::begin(port, folders, true)
    }

    fn begin(port: u16, folders: &[(&str, &Path)], is_open: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("cannot listen on 127.0.0.1, port {port}"))?;
        let port = listener.local_addr().context("the listener has no address")?.port();
        let folders = folders
            .iter()
            .map(|&(path, folder)| Mount { path: path.to_owned(), folder: folder.to_owned() })
            .collect();
        let (faults, log) = (Faults::default(), Mutex::default());
        let shared = Arc::new(Shared { folders, is_open, faults, log });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A browser that hangs up early is its own affair.
                thread::spawn(move || drop(answer(&stream, &shared)));
            }
        });
        Ok(Self { port, shared })
    }

    /// Ends with a slash.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// From now on every path that begins so has this fault; of several that fit, the longest wins.
    pub fn set_fault(&self, path: &str, fault: Fault) {
        self.shared.faults.set(path, fault);
    }

    /// Takes back what [`Server::set_fault`] did for exactly this path.
    pub fn clear_fault(&self, path: &str) {
        self.shared.faults.clear(path);
    }

    /// Every request so far, in the order of their answers.
    pub fn log(&self) -> Vec<Asked> {
        self.shared.log.lock().expect("no thread panics holding it").clone()
    }
}

fn answer(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some(request) = Request::read(stream)? else { return Ok(()) };
    let faults = &shared.faults;
    let (beginning, fault) = faults.take(request.path()).unzip();
    let mut response = match fault {
        Some(Fault::HangUp | Fault::Silence) => None,
        Some(Fault::Status(status)) => Some(http::Response::empty(status)),
        Some(Fault::Page(page)) => {
            Some(http::Response::whole("text/html; charset=utf-8", page.as_bytes().to_vec()))
        }
        Some(Fault::Redirect { to }) => {
            let rest = &request.path()[beginning.unwrap_or_default().len()..];
            Some(http::Response::redirect(&format!("{to}{rest}")))
        }
        _ => Some(files::respond(&shared.folders, &request)),
    };
    if let Some(response) = response.as_mut().filter(|_| shared.is_open) {
        response.allow_all_sites();
    }
    shared.log.lock().expect("no thread panics holding it").push(Asked {
        method: request.method.clone(),
        target: request.target.clone(),
        range: request.range.clone(),
        at: SystemTime::now(),
        status: response.as_ref().map_or(0, |response| response.status),
    });
    match (response, fault) {
        (Some(mut response), Some(Fault::FlippedByte)) => {
            let middle = response.body.len() / 2;
            if let Some(byte) = response.body.get_mut(middle) {
                *byte ^= 1;
            }
            response.send(stream)
        }
        (Some(response), Some(Fault::CutOnce(bytes))) => response.send_part(stream, bytes),
        (Some(response), Some(Fault::Throttle { .. })) => {
            response.send_paced(stream, || match faults.of(request.path()) {
                Some(Fault::Throttle { bytes_per_second }) => Some(bytes_per_second),
                _ => None,
            })
        }
        (Some(response), _) => response.send(stream),
        (None, Some(Fault::Silence)) => {
            while faults.of(request.path()) == Some(Fault::Silence) {
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
