//! The fields of a bench row that say where and when it was measured.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::shell::{self, Shell};

/// The commit that is checked out, with `-dirty` where files differ from it.
pub fn commit(shell: &Shell) -> String {
    let arguments = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"];
    shell::answer(shell.command("git").args(arguments)).unwrap_or_else(|| "unknown".to_owned())
}

/// The processor, as Linux names it, and how many of its cores are ours.
pub fn description() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or(std::env::consts::ARCH, |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}

/// The number of processes that want to run, averaged over the last minute; None where Linux does not say.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Today's date in UTC, as 2026-01-31.
pub fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let (year, month, day) = date(now.as_secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day, `days` after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

/// The load above which others take a noticeable part of the processor. Two threads that wait for each
/// other lose more than that part: PyTorch's train step took several times as long at a load of 4.
const BUSY: f64 = 0.5;

/// Says so where others take part of the processor.
pub fn warn_if_busy() {
    if let Some(load) = load().filter(|load| *load > BUSY) {
        eprintln!("warning: the machine is busy (load {load}), so wall times will mean little");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(date(20_454), (2026, 1, 1));
    }
}
