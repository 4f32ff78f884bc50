//! The download of one file: into a partial file that the next attempt continues, then checked.
//!
//! What it accepts is a file of the length and, for large files, of the sha256 that the hub told. A download
//! that breaks off is continued where it ended, by the same process or by a later one. A partial file that does
//! not fit is thrown away, and the download begins anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::Response;

use super::client::{Client, Failure, Remote, header, length};
use super::meter::Meter;
use super::refusal::{self, Name};
use crate::progress::Downloads;

/// The number of times that a request is repeated without getting any further, as in huggingface_hub.
const RETRIES: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// The longest time that a hub may ask us to wait.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// A file to download, and how.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub name: Name<'a>,
    pub file: &'a str,
    pub remote: &'a Remote,
    pub downloads: Downloads,
    /// The time before a first repetition; each further one takes twice as long.
    pub pause: Duration,
}

/// The reason why the bytes did not arrive.
enum Trouble {
    Request(Failure),
    Disk(io::Error),
    Bytes(String),
}

impl Download<'_> {
    /// Leaves the complete and checked file at `path`.
    ///
    /// # Errors
    /// In words for the user. A partial file stays if it can be continued.
    pub fn run(&self, path: &Path) -> Result<()> {
        let mut meter = Meter::new(self.downloads, self.file, self.remote.size);
        let continued = fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
        let mut outcome = self.receive(path, &mut meter);
        if continued && matches!(outcome, Err(Trouble::Bytes(_))) {
            meter.note(&format!(
                "the partial download of {} does not fit: beginning anew",
                self.file
            ));
            drop(fs::remove_file(path));
            outcome = self.receive(path, &mut meter);
        }
        meter.finish();
        let Self { client, name, file, .. } = *self;
        match outcome {
            Ok(()) => Ok(()),
            Err(Trouble::Request(failure)) => Err(refusal::failed(client, name, file, failure)),
            Err(Trouble::Bytes(why)) => {
                drop(fs::remove_file(path));
                Err(refusal::wrong_bytes(client, name, file, &why))
            }
            Err(Trouble::Disk(error)) => {
                // On a full disk it would be in the way.
                drop(fs::remove_file(path));
                Err(refusal::unwritable(error, name, file, self.remote.size, path))
            }
        }
    }

    fn receive(&self, path: &Path, meter: &mut Meter) -> Result<(), Trouble> {
        let mut output = OpenOptions::new().create(true).append(true).open(path)?;
        let mut size = self.remote.size;
        let mut have = output.metadata()?.len();
        if size.is_none_or(|size| have > size) {
            // Nobody can say whether it is complete.
            have = 0;
            output.set_len(0)?;
        }
        let mut patience = Patience::new(self.pause);
        while size != Some(have) {
            let before = have;
            match self.stream(&mut output, &mut have, &mut size, meter) {
                Ok(()) if size.is_none_or(|size| size == have) => break,
                // The server has other bytes than the hub told of.
                Err(Trouble::Request(Failure::Status(refusal))) if refusal.status == 416 => {
                    return Err(Trouble::Bytes(format!("it has no bytes after the first {have}")));
                }
                Ok(()) => patience.after(&broke_off(self), have > before, meter)?,
                Err(Trouble::Request(failure)) => {
                    if !patience.may_go_on(&failure, have > before, meter) {
                        return Err(Trouble::Request(failure));
                    }
                    // Bytes of a compressed answer cannot be counted on, so nothing can be continued.
                    if size.is_none() {
                        have = 0;
                        output.set_len(0)?;
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        output.sync_all()?;
        self.check(path, have)
    }

    /// Appends what one answer brings.
    fn stream(
        &self,
        output: &mut File,
        have: &mut u64,
        size: &mut Option<u64>,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        let response = self.client.bytes(&self.remote.address, *have)?;
        let start = match begins_at(&response) {
            Some(position) if position == *have => *have,
            // A server without ranges sends everything again.
            _ if response.status().as_u16() == 200 => {
                output.set_len(0)?;
                *have = 0;
                0
            }
            position => {
                return Err(Trouble::Bytes(format!(
                    "asked for the bytes from {have} on, it sent those from {}",
                    position.map_or_else(|| "an unknown place".to_owned(), |at| at.to_string())
                )));
            }
        };
        if size.is_none() {
            *size = length(&response).map(|length| start + length);
        }
        let mut input = response.into_body().into_reader();
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Trouble::Request(self.connection(&error.to_string()))),
            };
            output.write_all(&piece[..read])?;
            *have += read as u64;
            meter.at(*have);
            if let Some(size) = size.filter(|size| *have > *size) {
                return Err(Trouble::Bytes(format!("it is longer than {size} bytes")));
            }
        }
    }

    fn connection(&self, error: &str) -> Failure {
        let host = self.remote.address.split('/').nth(2).unwrap_or_default().to_owned();
        Failure::Connection { host, error: error.to_owned() }
    }

    fn check(&self, path: &Path, length: u64) -> Result<(), Trouble> {
        let etag = &self.remote.etag;
        let is_sha256 = etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_sha256 {
            return Ok(());
        }
        let mut hash = Sha256::new();
        let mut input = File::open(path)?;
        let mut piece = vec![0; 1 << 16];
        loop {
            match input.read(&mut piece)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
        let found = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match found.eq_ignore_ascii_case(etag) {
            true => Ok(()),
            false => Err(Trouble::Bytes(format!(
                "the sha256 of its {length} bytes is {found}, and the hub says {etag}"
            ))),
        }
    }
}

fn broke_off(download: &Download) -> Failure {
    download.connection("the connection was closed before the end of the file")
}

/// The position of the first byte of an answer.
fn begins_at(response: &Response<Body>) -> Option<u64> {
    match response.status().as_u16() {
        206 => {
            let range = header(response, "content-range")?.strip_prefix("bytes ")?;
            range.split('-').next()?.trim().parse().ok()
        }
        _ => Some(0),
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Request(failure)
    }
}

/// The repetitions that are left for a request.
pub(super) struct Patience {
    pause: Duration,
    first_pause: Duration,
    left: u32,
}

impl Patience {
    pub fn new(pause: Duration) -> Self {
        Self { pause, first_pause: pause, left: RETRIES }
    }

    fn after(&mut self, failure: &Failure, progressed: bool, meter: &Meter) -> Result<(), Trouble> {
        match self.may_go_on(failure, progressed, meter) {
            true => Ok(()),
            false => {
                Err(Trouble::Bytes("it is shorter than the hub says, time and again".to_owned()))
            }
        }
    }

    /// Whether to ask again after this failure; waits before it says so.
    pub fn may_go_on(&mut self, failure: &Failure, progressed: bool, meter: &Meter) -> bool {
        if progressed {
            (self.left, self.pause) = (RETRIES, self.first_pause);
        }
        if self.left == 0 || !failure.may_pass() && !progressed {
            return false;
        }
        let pause = failure.retry_after().unwrap_or(self.pause).min(LONGEST_RETRY_AFTER);
        let why = match failure {
            Failure::Status(refusal) => format!("HTTP {}", refusal.status),
            Failure::Connection { error, .. } => error.clone(),
            Failure::NotAHub(why) => why.clone(),
        };
        meter.note(&format!("{why}: asking again in {:.0} s", pause.as_secs_f64().ceil()));
        thread::sleep(pause);
        self.left -= 1;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}
