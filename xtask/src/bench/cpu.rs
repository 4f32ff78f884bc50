//! `cargo xtask bench cpu`: our train step and inference beside PyTorch's, in one run.
//!
//! Both sides are programs that speak one protocol (`bench/README.md`): started with a case, they warm
//! up, and then do one repeat for each line on stdin and print its time. So the two can take turns, and
//! whatever else the machine does falls on both.

use std::env;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::contender::{Contender, Timing};
use super::machine;
use super::rows::{append, build_bench};
use crate::shell::Shell;
use crate::workspace::Workspace;

const ROWS: &str = "bench/cpu.jsonl";
const RIVAL: &str = "bench/cpu_rival.py";

/// Turns before the timed ones: the first waits for the warm-up to end.
const UNCOUNTED: usize = 1;

const NO_PYTHON: &str = "\
QUINTET_PYTHON is not set: it names the Python that has the rival. To make one:
  python3 -m venv .venv
  .venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
  .venv/bin/pip install transformers
  QUINTET_PYTHON=.venv/bin/python cargo xtask bench cpu";

#[derive(clap::Args)]
pub struct Arguments {
    /// Timed repeats of each case and side.
    #[arg(long, default_value = "15")]
    repeats: NonZeroUsize,

    /// Threads for each side.
    #[arg(long, default_value_t = 2)]
    threads: usize,

    /// Texts in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,

    /// Only cases whose name contains this, `train` say.
    #[arg(long, default_value = "")]
    only: String,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let shell = Shell::new(workspace);
    let python = python()?;
    machine::warn_if_busy();
    let ours = build_bench(&shell, "cpu")?;
    let shared = workspace.shared_data();
    let mut results = Vec::new();
    for case in CASES.iter().filter(|case| case.name(arguments).contains(&arguments.only)) {
        if case.texts == Texts::Competition && !shared.join(TEXTS).exists() {
            eprintln!(
                "bench: skipped: {}: no {TEXTS} in {}",
                case.name(arguments),
                shared.display()
            );
            continue;
        }
        eprintln!("bench: {}", case.name(arguments));
        let flags = case.flags(arguments, &shared);
        let ours = Contender::start("ours", shell.command(&ours).args(&flags))?;
        let rival = Contender::start("the rival", shell.command(&python).arg(RIVAL).args(&flags))?;
        let [ours, rival] = take_turns([ours, rival], arguments.repeats.get())?;
        results.push(Duel { case: case.name(arguments), ours, rival });
    }
    ensure!(!results.is_empty(), "no case has `{}` in its name", arguments.only);
    print_table(&results);
    append_rows(workspace, &shell, &results)
}

/// One thing to time, on the xsmall geometry (12 layers of 384) with the whole vocabulary.
struct Case {
    work: &'static str,
    /// Tokens in every text, or the most of them.
    length: usize,
    texts: Texts,
}

#[derive(PartialEq)]
enum Texts {
    /// Random tokens, as many in each.
    Random,
    /// The competition's training texts; the rival pads them as the notebook does.
    Competition,
}

const CASES: [Case; 5] = [
    Case { work: "inference", length: 32, texts: Texts::Random },
    Case { work: "inference", length: 128, texts: Texts::Random },
    Case { work: "train", length: 32, texts: Texts::Random },
    Case { work: "train", length: 128, texts: Texts::Random },
    Case { work: "train", length: 128, texts: Texts::Competition },
];

/// Where the competition's texts and the tokenizer lie within the shared folder.
const TEXTS: &str = "data/kaggle-2025-sep-dl-genai/train.csv";
const TOKENIZER: &str = "tokenizer";

impl Case {
    /// Names all that the time depends on, so that rows of one name can be compared.
    fn name(&self, arguments: &Arguments) -> String {
        let Self { work, length, texts } = self;
        let length = match texts {
            Texts::Random => format!("length {length}"),
            Texts::Competition => format!("texts, rival padded to {length},"),
        };
        format!("{work} {length} batch {} threads {}", arguments.batch, arguments.threads)
    }

    fn flags(&self, arguments: &Arguments, shared: &Path) -> Vec<String> {
        let mut flags = vec![
            format!("--case={}", self.work),
            format!("--length={}", self.length),
            format!("--batch={}", arguments.batch),
            format!("--threads={}", arguments.threads),
            format!("--repeats={}", UNCOUNTED + arguments.repeats.get()),
        ];
        if self.texts == Texts::Competition {
            flags.push(format!("--texts={}", shared.join(TEXTS).display()));
            flags.push(format!("--tokenizer={}", shared.join(TOKENIZER).display()));
        }
        flags
    }
}

/// The result of one case: the medians of both sides.
struct Duel {
    case: String,
    ours: Timing,
    rival: Timing,
}

impl Duel {
    /// Our time as a share of the rival's: below 1 is faster.
    fn ratio(&self) -> f64 {
        self.ours.ms / self.rival.ms
    }
}

/// The Python that has the rival.
fn python() -> Result<PathBuf> {
    let python = env::var_os("QUINTET_PYTHON").filter(|python| !python.is_empty());
    python.map(PathBuf::from).context(NO_PYTHON)
}

/// The medians of `repeats` turns, after those that are not counted.
fn take_turns(mut sides: [Contender; 2], repeats: usize) -> Result<[Timing; 2]> {
    let mut timings = [Vec::new(), Vec::new()];
    for _ in 0..UNCOUNTED {
        for side in &mut sides {
            side.turn()?;
        }
    }
    for _ in 0..repeats {
        for (side, timings) in sides.iter_mut().zip(&mut timings) {
            timings.push(side.turn()?);
        }
    }
    Ok(timings.map(|timings| Timing::median(&timings)))
}

fn print_table(results: &[Duel]) {
    println!("{:<54} {:>18} {:>18} {:>7}", "", "ours", "PyTorch", "ratio");
    println!("{:<54} {:>10} {:>7} {:>10} {:>7} {:>7}", "case", "ms", "MiB", "ms", "MiB", "of ms");
    for duel in results {
        let Duel { case, ours, rival } = duel;
        println!(
            "{case:<54} {:>10.1} {:>7.0} {:>10.1} {:>7.0} {:>7.3}",
            ours.ms,
            ours.peak_mib,
            rival.ms,
            rival.peak_mib,
            duel.ratio()
        );
    }
}

fn append_rows(workspace: &Workspace, shell: &Shell, results: &[Duel]) -> Result<()> {
    let rows = results.iter().map(|duel| {
        json!({
            "date": machine::today(),
            "commit": machine::commit(shell),
            "machine": machine::description(),
            "bench": "cpu",
            "case": duel.case,
            "ours_ms": rounded(duel.ours.ms),
            "rival_ms": rounded(duel.rival.ms),
            "ratio": rounded(duel.ratio()),
            "ours_mib": duel.ours.peak_mib.round(),
            "rival_mib": duel.rival.peak_mib.round(),
        })
    });
    append(&workspace.root.join(ROWS), rows)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
