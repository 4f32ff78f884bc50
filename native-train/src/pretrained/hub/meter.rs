//! The progress of a download on stderr.

use std::io::IsTerminal;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::progress::Downloads;

/// One download.
pub(super) enum Meter {
    Bar(ProgressBar),
    Lines { file: String, size: usize, done: usize },
    Hidden,
}

impl Meter {
    pub fn new(downloads: Downloads) -> Self {
        match downloads {
            Downloads::Hidden => Self::Hidden,
            Downloads::Shown if std::io::stderr().is_terminal() => Self::Bar(ProgressBar::new(0)),
            Downloads::Shown => Self::Lines { file: String::new(), size: 0, done: 0 },
        }
    }
}

impl hf_hub::api::Progress for Meter {
    /// Called before each attempt.
    fn init(&mut self, new_size: usize, filename: &str) {
        match self {
            Self::Bar(bar) => {
                let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
                bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
                bar.set_length(new_size as u64);
                bar.set_position(0);
                bar.set_message(filename.to_owned());
            }
            Self::Lines { file, size, done } => {
                if file.is_empty() {
                    eprintln!("downloading {filename} ({})", HumanBytes(new_size as u64));
                }
                (*file, *size, *done) = (filename.to_owned(), new_size, 0);
            }
            Self::Hidden => {}
        }
    }

    fn update(&mut self, more: usize) {
        match self {
            Self::Bar(bar) => bar.inc(more as u64),
            Self::Lines { file, size, done } => {
                let before = tenths(*done, *size);
                *done += more;
                let after = tenths(*done, *size);
                if after > before && after < 10 {
                    eprintln!("downloading {file}: {after}0%");
                }
            }
            Self::Hidden => {}
        }
    }

    fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish();
        }
    }
}

/// Tenths of a large file that have arrived; a small one needs no lines.
fn tenths(done: usize, size: usize) -> usize {
    const TAKES_A_WHILE: usize = 32 << 20;
    if size < TAKES_A_WHILE { 0 } else { done * 10 / size }
}
