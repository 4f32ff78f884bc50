//! Chromium's own log of its network: every request of any part of the browser, workers included. `--log-net-log`
//! writes it; it is complete once the browser has ended.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::waiting::PATIENCE;

/// A request that was started.
#[derive(Debug)]
pub struct Request {
    pub url: String,
    /// The origin that made the request; empty for Chromium's own requests.
    pub initiator: String,
    pub at: SystemTime,
}

/// The log of a browser that is about to end. It is no JSON before its last line is written.
pub fn wait_for_the_end(file: &Path) -> Value {
    let start = Instant::now();
    loop {
        let log = fs::read_to_string(file).unwrap();
        match serde_json::from_str(&log) {
            Ok(log) => return log,
            Err(error) => assert!(start.elapsed() < PATIENCE, "the net log has no end: {error}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The requests to `origin`, or by its documents and workers.
pub fn requests(log: &Value, origin: &str) -> Vec<Request> {
    let origin = origin.trim_end_matches('/');
    let constants = &log["constants"];
    let kind = &constants["logEventTypes"]["URL_REQUEST_START_JOB"];
    let begins = &constants["logEventPhase"]["PHASE_BEGIN"];
    // Times are ticks in milliseconds; with the offset they count from the Unix epoch.
    let offset = number(&constants["timeTickOffset"]);
    log["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| &event["type"] == kind && &event["phase"] == begins)
        .map(|event| Request {
            url: text(&event["params"]["url"]),
            initiator: text(&event["params"]["initiator"]),
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(offset + number(&event["time"])),
        })
        .filter(|request| request.initiator == origin || request.url.starts_with(origin))
        .collect()
}

/// A number, which some versions write as a string.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
