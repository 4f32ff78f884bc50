//! How a download is told of on stderr.

use std::io::IsTerminal;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Whether downloads are told of on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere.
    Shown,
    Hidden,
}

/// One download.
pub(super) enum Meter {
    Bar(ProgressBar),
    Lines { file: String, size: usize, done: usize },
    Hidden,
}

impl Meter {
    pub fn new(progress: Progress) -> Self {
        match progress {
            Progress::Hidden => Self::Hidden,
            Progress::Shown if std::io::stderr().is_terminal() => Self::Bar(ProgressBar::new(0)),
            Progress::Shown => Self::Lines { file: String::new(), size: 0, done: 0 },
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

/// Tenths of a file that takes a while; a small one is there before its lines are read.
fn tenths(done: usize, size: usize) -> usize {
    const TAKES_A_WHILE: usize = 32 << 20;
    if size < TAKES_A_WHILE { 0 } else { done * 10 / size }
}
