//! The progress of a download on stderr.

use std::io::IsTerminal;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::progress::Downloads;

/// One download.
pub(super) enum Meter {
    Bar(ProgressBar),
    Lines { file: String, size: u64, done: u64 },
    Hidden,
}

impl Meter {
    pub fn new(downloads: Downloads, file: &str, size: Option<u64>) -> Self {
        match downloads {
            Downloads::Hidden => Self::Hidden,
            Downloads::Shown if std::io::stderr().is_terminal() => {
                let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
                let style = ProgressStyle::with_template(template).expect("a valid template");
                let bar = ProgressBar::new(size.unwrap_or(0)).with_style(style);
                bar.set_message(file.to_owned());
                Self::Bar(bar)
            }
            Downloads::Shown => {
                let bytes =
                    size.map_or_else(String::new, |size| format!(" ({})", HumanBytes(size)));
                eprintln!("downloading {file}{bytes}");
                Self::Lines { file: file.to_owned(), size: size.unwrap_or(0), done: 0 }
            }
        }
    }

    /// Only the notes of what has no bytes to count.
    pub fn of_notes(downloads: Downloads) -> Self {
        match downloads {
            Downloads::Hidden => Self::Hidden,
            Downloads::Shown => Self::Lines { file: String::new(), size: 0, done: 0 },
        }
    }

    /// `done` bytes are there, counted from the file's beginning.
    pub fn at(&mut self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { file, size, done: before } => {
                let (tenth, now) = (tenths(*before, *size), tenths(done, *size));
                if now > tenth && now < 10 {
                    eprintln!("downloading {file}: {now}0%");
                }
                *before = done;
            }
            Self::Hidden => {}
        }
    }

    /// Says what happens meanwhile.
    pub fn note(&self, line: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
            Self::Lines { .. } => eprintln!("{line}"),
            Self::Hidden => {}
        }
    }

    pub fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish();
        }
    }
}

/// Tenths of a large file that have arrived; a small one needs no lines.
fn tenths(done: u64, size: u64) -> u64 {
    const TAKES_A_WHILE: u64 = 32 << 20;
    if size < TAKES_A_WHILE { 0 } else { done * 10 / size }
}
