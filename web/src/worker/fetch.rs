//! The download of a shard, resumed where it breaks off.
//!
//! [`Download`] holds the bytes received and interprets answers; [`run`] makes requests and waits.

use js_sys::{Date, Uint8Array};
use shared::bundle::Shard;

use crate::browser;
use crate::failure::Failure;
use crate::http::{self, Cancel, Freshness, Trouble};
use crate::instead;
use crate::manifest::check_status;

/// Pauses between attempts that bring no new bytes. After the last of them the download fails.
const PAUSES_MS: [i32; 3] = [500, 1500, 4000];

/// The bytes of a body by which it is told from a file.
const BEGINNING: usize = 4096;

/// Milliseconds between reports of the progress, at least.
const REPORT_MS: f64 = 100.0;

/// The bytes received of a shard. Its length is in the manifest, which bounds it.
pub struct Download {
    file: String,
    bytes: Vec<u8>,
    expected: usize,
    /// The most bytes received so far. An attempt that gets no further brings nothing new.
    best: usize,
}

impl Download {
    pub fn new(shard: &Shard) -> Self {
        Self { file: shard.file_name(), bytes: Vec::new(), expected: shard.bytes as usize, best: 0 }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() == self.expected
    }

    /// Prepares for the body of an answer. The bytes received before are kept only if the answer continues them.
    fn begin(&mut self, status: u16, content_range: Option<&str>) -> Result<(), Failure> {
        // Other sites need not let a page read the header. They were asked for the rest, and the hash tells in the end.
        let continues = status == 206
            && content_range.is_none_or(|range| first_byte(range) == Some(self.bytes.len()));
        if !continues {
            self.bytes.clear();
        }
        match status {
            206 if !continues => Err(self.corrupted()),
            // Range not satisfiable: the bytes received are not the beginning of the site's file.
            416 => Err(self.corrupted()),
            _ => check_status(status, &self.file),
        }
    }

    /// Adds bytes of the body.
    ///
    /// # Errors
    /// If there are more bytes than the manifest says; no memory is spent on them.
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

    /// Whether more bytes have been received than ever before.
    fn has_grown(&mut self) -> bool {
        let grown = self.bytes.len() > self.best;
        self.best = self.best.max(self.bytes.len());
        grown
    }

    fn corrupted(&self) -> Failure {
        Failure::Corrupted { file: self.file.clone() }
    }

    /// The failure of a body that is not the file: a page, if it begins like one.
    fn refused(&self, beginning: &[u8], address: String) -> Failure {
        match instead::of_any_file(beginning) {
            Some(found) => Failure::Instead { file: self.file.clone(), address, found },
            None => self.corrupted(),
        }
    }
}

/// Completes a download and reports its progress. After a failure it can be run again and resumes where it
/// stopped.
///
/// # Errors
/// The failure of the last attempt.
pub async fn run(
    download: &mut Download,
    url: &str,
    freshness: Freshness,
    cancel: &Cancel,
    progress: impl Fn(u64),
) -> Result<(), Failure> {
    let mut pauses = PAUSES_MS.iter();
    // It is complete already if it was cancelled between its last byte and the end of the answer.
    while !download.is_complete() {
        let failure = match attempt(download, url, freshness, cancel, &progress).await {
            Ok(()) if download.is_complete() => return Ok(()),
            // The body is too short.
            Ok(()) => download.corrupted(),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Instead { .. }) {
            download.bytes.clear();
        }
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
    // Of a body that begins where the file does: it may be something else.
    let mut beginning = download.bytes.is_empty().then(Vec::new);
    while let Some(chunk) = reply.chunk().await.map_err(failure_of)? {
        if let Some(beginning) = beginning.as_mut().filter(|beginning| beginning.len() < BEGINNING)
        {
            beginning.extend(chunk.slice(0, BEGINNING as u32).to_vec());
        }
        if let Err(failure) = download.push(&chunk) {
            let beginning = beginning.filter(|beginning| !beginning.is_empty());
            return Err(beginning
                .map_or(failure, |beginning| download.refused(&beginning, reply.address())));
        }
        let now = Date::now();
        if now - reported >= REPORT_MS {
            reported = now;
            progress(download.bytes.len() as u64);
        }
    }
    match beginning {
        Some(beginning) if !download.is_complete() => {
            Err(download.refused(&beginning, reply.address()))
        }
        _ => Ok(()),
    }
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

/// The number N in `bytes N-M/T`.
fn first_byte(content_range: &str) -> Option<usize> {
    content_range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
