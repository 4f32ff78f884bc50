//! One shard from the site: streamed, and resumed where it broke off.
//!
//! [`Download`] holds what has arrived and decides what an answer means; [`run`] asks and waits.

use js_sys::{Date, Uint8Array};
use shared::bundle::Shard;

use crate::browser;
use crate::failure::Failure;
use crate::http::{self, Cancel, Freshness, Trouble};
use crate::manifest::check_status;

/// Attempts that bring nothing new before we give up, and the pause after each but the last.
const PAUSES_MS: [i32; 3] = [500, 1500, 4000];

/// At most some ten reports a second.
const REPORT_MS: f64 = 100.0;

/// What has arrived of a shard. Its length is known and bounded by the manifest.
pub struct Download {
    file: String,
    bytes: Vec<u8>,
    expected: usize,
    /// The most there ever was: an attempt is in vain if it does not get beyond.
    best: usize,
}

impl Download {
    pub fn new(shard: &Shard) -> Self {
        Self { file: shard.file_name(), bytes: Vec::new(), expected: shard.bytes as usize, best: 0 }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.expected
    }

    /// Makes ready for the body of an answer: what is here already is kept only if the answer
    /// begins right after it.
    fn begin(&mut self, status: u16, content_range: Option<&str>) -> Result<(), Failure> {
        let continues = status == 206
            && content_range.and_then(first_byte).is_some_and(|first| first == self.bytes.len());
        if !continues {
            self.bytes.clear();
        }
        match status {
            206 if !continues => Err(self.corrupted()),
            // "Not that much is here": whatever we hold is no beginning of what lies there.
            416 => Err(self.corrupted()),
            _ => check_status(status, &self.file),
        }
    }

    /// # Errors
    /// If there is more than the manifest says, before any memory is spent on it.
    fn push(&mut self, chunk: &Uint8Array) -> Result<(), Failure> {
        let (start, length) = (self.bytes.len(), chunk.length() as usize);
        if length > self.expected - start {
            self.bytes.clear();
            return Err(self.corrupted());
        }
        self.bytes.reserve_exact(self.expected - start);
        self.bytes.resize(start + length, 0);
        chunk.copy_to(&mut self.bytes[start..]);
        Ok(())
    }

    /// Whether more has arrived than ever before.
    fn has_grown(&mut self) -> bool {
        let grown = self.bytes.len() > self.best;
        self.best = self.best.max(self.bytes.len());
        grown
    }

    fn corrupted(&self) -> Failure {
        Failure::Corrupted { file: self.file.clone() }
    }
}

/// Brings a download to its end, reporting the bytes at hand now and then. After a failure it can
/// be run again and goes on where it stopped.
pub async fn run(
    download: &mut Download,
    url: &str,
    freshness: Freshness,
    cancel: &Cancel,
    progress: impl Fn(u64),
) -> Result<(), Failure> {
    let mut pauses = PAUSES_MS.iter();
    // It may be, if it was cancelled between its last byte and the end of the answer.
    while !download.is_whole() {
        let failure = match attempt(download, url, freshness, cancel, &progress).await {
            Ok(()) if download.is_whole() => return Ok(()),
            // The body ended early, and politely.
            Ok(()) => download.corrupted(),
            Err(failure) => failure,
        };
        if download.has_grown() {
            pauses = PAUSES_MS.iter();
        }
        match pauses.next() {
            Some(&pause) if is_worth_a_retry(&failure) => browser::sleep(pause).await,
            _ => return Err(failure),
        }
    }
    Ok(())
}

async fn attempt(
    download: &mut Download,
    url: &str,
    freshness: Freshness,
    cancel: &Cancel,
    progress: &impl Fn(u64),
) -> Result<(), Failure> {
    let mut reply =
        http::get(url, download.bytes.len(), freshness, cancel).await.map_err(failure_of)?;
    download.begin(reply.status(), reply.content_range().as_deref())?;
    let mut reported = 0.0;
    while let Some(chunk) = reply.chunk().await.map_err(failure_of)? {
        download.push(&chunk)?;
        let now = Date::now();
        if now - reported >= REPORT_MS {
            reported = now;
            progress(download.bytes.len() as u64);
        }
    }
    Ok(())
}

fn failure_of(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Cancelled => Failure::Cancelled,
        Trouble::Unreachable | Trouble::Broken => Failure::Offline,
    }
}

fn is_worth_a_retry(failure: &Failure) -> bool {
    match failure {
        Failure::Offline => !browser::is_offline(),
        Failure::Server { status, .. } => matches!(status, 408 | 429 | 500..),
        Failure::Corrupted { .. } => true,
        _ => false,
    }
}

/// N of `bytes N-M/T`.
fn first_byte(content_range: &str) -> Option<usize> {
    content_range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
