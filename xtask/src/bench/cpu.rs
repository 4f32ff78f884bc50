//! `cargo xtask bench cpu`: our train step and inference beside PyTorch's, and inference beside onnxruntime's, in one run and by
//! each instruction set.
//!
//! All sides are programs that speak one protocol (`bench/README.md`): started with a case, they warm up, and then do one repeat for
//! each line on stdin and print its time. So they can take turns, and whatever else the machine does falls on all.

use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::contender::{Contender, Timing};
use super::machine;
use super::rows::{append, build_bench};
use crate::shell::{self, Shell};
use crate::workspace::Workspace;

const ROWS: &str = "bench/cpu.jsonl";
const MODEL: &str = "bench/cpu_model.py";
const PYTORCH: &str = "bench/cpu_rival.py";
const ORT: &str = "bench/cpu_ort.py";

/// Turns before the timed ones: the first waits for the warm-up to end.
const UNCOUNTED: usize = 1;

/// The time before a turn. Idle threads of onnxruntime take a processor for a while before they sleep, and would take it from the
/// side that comes next.
const REST: Duration = Duration::from_millis(100);

const NO_PYTHON: &str = "\
QUINTET_PYTHON is not set: it names the Python that has the rivals. To make one:
  python3 -m venv .venv
  .venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
  .venv/bin/pip install transformers onnx onnxruntime
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
    let model = model(workspace, &shell, &python)?;
    let shared = workspace.shared_data();
    let mut results = Vec::new();
    for set in InstructionSet::of_machine() {
        for case in CASES.iter().filter(|case| case.name(arguments).contains(&arguments.only)) {
            let name = case.name(arguments);
            if case.texts == Texts::Competition && !shared.join(TEXTS).exists() {
                eprintln!("bench: skipped: {name}: no {TEXTS} in {}", shared.display());
                continue;
            }
            eprintln!("bench: {name}, {}", set.name);
            let flags = case.flags(arguments, &shared);
            let mut command = shell.command(&ours);
            command.args(&flags);
            set.cap(&mut command);
            if case.work == "inference" {
                command.arg(format!("--encoding={}", case.encoding));
                command.arg(format!("--model={}", model.display()));
            }
            command.args(case.is_compact.then_some("--compact"));
            let mut sides = vec![Contender::start("ours", &mut command)?];
            let padding = (case.work == "inference").then_some("--padding=longest");
            let mut command = shell.command(&python);
            command.arg(PYTORCH).args(&flags).args(padding);
            set.cap(&mut command);
            sides.push(Contender::start("PyTorch", &mut command)?);
            if case.work == "inference" {
                let mut command = shell.command(&python);
                command.arg(ORT).args(&flags).args(padding);
                command.arg(format!("--model={}", model.display()));
                let encoding = if case.encoding == "f32" { "f32" } else { "int8" };
                command.arg(format!("--encoding={encoding}"));
                sides.push(Contender::start("onnxruntime", &mut command)?);
            }
            let timings = take_turns(sides, arguments.repeats.get())?;
            results.push(Comparison { case: name, set, timings });
        }
    }
    ensure!(!results.is_empty(), "no case has `{}` in its name", arguments.only);
    print_table(&results);
    append_rows(workspace, &shell, &results)
}

/// The folder of the model that all sides of inference have, made by the first run.
fn model(workspace: &Workspace, shell: &Shell, python: &Path) -> Result<PathBuf> {
    let folder = workspace.target.join("bench-cpu");
    if !folder.join("probe.json").exists() {
        eprintln!("bench: making the model in {}", folder.display());
        fs::create_dir_all(&folder)?;
        let remedy = "install torch, transformers, onnx and onnxruntime for QUINTET_PYTHON";
        shell::run(shell.command(python).arg(MODEL).arg(&folder), remedy)?;
    }
    Ok(folder)
}

/// An instruction set that all sides are told to keep to, by the name that ours takes.
#[derive(Clone, Copy)]
struct InstructionSet {
    name: &'static str,
    is_best: bool,
}

impl InstructionSet {
    /// AVX2, which most machines have as their best, and this machine's best.
    fn of_machine() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let best = match is_x86_feature_detected!("avx512bw") {
            true if is_x86_feature_detected!("avx512vnni") => "avx512vnni",
            true => "avx512",
            false if is_x86_feature_detected!("avx2") => "avx2",
            false => "portable",
        };
        #[cfg(not(target_arch = "x86_64"))]
        let best = "portable";
        let best = Self { name: best, is_best: true };
        match best.name.starts_with("avx512") {
            true => vec![Self { name: "avx2", is_best: false }, best],
            false => vec![best],
        }
    }

    /// Tells a program of ours or PyTorch to use no more. onnxruntime takes no such word: it has the machine's best.
    fn cap(self, command: &mut Command) {
        if !self.is_best {
            command.env("QUINTET_INSTRUCTIONS", self.name);
            command.env("ATEN_CPU_CAPABILITY", "avx2");
            command.env("MKL_ENABLE_INSTRUCTIONS", "AVX2");
            command.env("ONEDNN_MAX_CPU_ISA", "AVX2");
        }
    }
}

/// One thing to time, on the xsmall geometry (12 layers of 384).
struct Case {
    work: &'static str,
    /// The numbers of our products. onnxruntime's are f32 beside f32, else int8; PyTorch's are f32.
    encoding: &'static str,
    /// Tokens in every text, or the most of them.
    length: usize,
    texts: Texts,
    /// Whether our training step updates only the word embeddings that occur, as `native-train` does; PyTorch's updates all.
    is_compact: bool,
}

#[derive(PartialEq)]
enum Texts {
    /// Random tokens, as many in each.
    Random,
    /// The competition's training texts; rivals pad them, for training as the notebook does, for inference to the batch's longest.
    Competition,
}

const fn inference(encoding: &'static str, length: usize, texts: Texts) -> Case {
    Case { work: "inference", encoding, length, texts, is_compact: false }
}

const fn train(length: usize, texts: Texts, is_compact: bool) -> Case {
    Case { work: "train", encoding: "f32", length, texts, is_compact }
}

const CASES: [Case; 14] = [
    inference("f32", 32, Texts::Random),
    inference("f32", 128, Texts::Random),
    inference("f32", 128, Texts::Competition),
    inference("int8", 32, Texts::Random),
    inference("int8", 128, Texts::Random),
    inference("int8", 128, Texts::Competition),
    inference("int12", 32, Texts::Random),
    inference("int12", 128, Texts::Random),
    inference("int12", 128, Texts::Competition),
    train(32, Texts::Random, true),
    train(128, Texts::Random, true),
    train(128, Texts::Competition, true),
    train(32, Texts::Random, false),
    train(128, Texts::Random, false),
];

/// Where the competition's texts and the tokenizer lie within the shared folder.
const TEXTS: &str = "data/kaggle-2025-sep-dl-genai/train.csv";
const TOKENIZER: &str = "tokenizer";

impl Case {
    /// Names all that the time depends on, so that rows of one name can be compared.
    fn name(&self, arguments: &Arguments) -> String {
        let Self { work, encoding, length, texts, is_compact } = self;
        let length = match (texts, *work) {
            (Texts::Random, _) => format!("length {length}"),
            (Texts::Competition, "train") => format!("texts, rival padded to {length},"),
            (Texts::Competition, _) => "texts, rivals padded to the longest,".to_owned(),
        };
        let encoding = if *encoding == "f32" { String::new() } else { format!(" {encoding}") };
        let compact = if *is_compact { " compact" } else { "" };
        format!(
            "{work}{encoding}{compact} {length} batch {} threads {}",
            arguments.batch, arguments.threads
        )
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

/// The result of one case: the medians of ours, PyTorch, and onnxruntime where it is a rival.
struct Comparison {
    case: String,
    set: InstructionSet,
    timings: Vec<Timing>,
}

impl Comparison {
    /// Our time as a share of a side's: below 1 is faster.
    fn ratio(&self, side: usize) -> Option<f64> {
        Some(self.timings[0].ms / self.timings.get(side)?.ms)
    }

    /// The least that the ratio to PyTorch could be on this processor, whatever the program.
    fn least_ratio(&self) -> Option<f64> {
        Some(self.timings[0].least_ms? / self.timings.get(1)?.ms)
    }
}

/// The Python that has the rivals.
fn python() -> Result<PathBuf> {
    let python = env::var_os("QUINTET_PYTHON").filter(|python| !python.is_empty());
    python.map(PathBuf::from).context(NO_PYTHON)
}

/// The medians of `repeats` turns, after those that are not counted.
fn take_turns(mut sides: Vec<Contender>, repeats: usize) -> Result<Vec<Timing>> {
    let mut timings: Vec<Vec<Timing>> = sides.iter().map(|_| Vec::new()).collect();
    let turns = UNCOUNTED + repeats;
    for turn in 0..turns {
        for (side, timings) in sides.iter_mut().zip(&mut timings) {
            thread::sleep(REST);
            let timing = side.turn()?;
            if turn >= UNCOUNTED {
                timings.push(timing);
            }
        }
    }
    Ok(timings.iter().map(|timings| Timing::median(timings)).collect())
}

fn print_table(results: &[Comparison]) {
    println!("{}", machine::description());
    println!(
        "{:<66} {:<10} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7}",
        "case", "set", "ours, ms", "PyTorch", "ort", "ratio", "least", "of ort"
    );
    for result in results {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let ms = |side: usize| number(result.timings.get(side).map(|timing| timing.ms), 1);
        println!(
            "{:<66} {:<10} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7}",
            result.case,
            result.set.name,
            ms(0),
            ms(1),
            ms(2),
            number(result.ratio(1), 3),
            number(result.least_ratio(), 3),
            number(result.ratio(2), 3)
        );
        if let [ours, _, ort] = &result.timings[..]
            && let Some((ours, ort)) = ours.logit_error.zip(ort.logit_error)
        {
            println!("    logits differ from PyTorch's by {ours:.1e}, onnxruntime's by {ort:.1e}");
        }
    }
}

fn append_rows(workspace: &Workspace, shell: &Shell, results: &[Comparison]) -> Result<()> {
    let rows = results.iter().map(|result| {
        let ours = &result.timings[0];
        let side = |side: usize| result.timings.get(side);
        let ms = |at: usize| side(at).map(|timing| rounded(timing.ms));
        let mib = |at: usize| side(at).map(|timing| timing.peak_mib.round());
        let row = json!({
            "date": machine::today(),
            "commit": machine::commit(shell),
            "machine": machine::description(),
            "instructions": result.set.name,
            "bench": "cpu",
            "case": result.case,
            "ours_ms": rounded(ours.ms),
            "rival_ms": ms(1),
            "ort_ms": ms(2),
            "ratio": result.ratio(1).map(rounded),
            "least_ms": ours.least_ms.map(rounded),
            "ort_ratio": result.ratio(2).map(rounded),
            "ours_mib": ours.peak_mib.round(),
            "rival_mib": mib(1),
            "ort_mib": mib(2),
            "logit_error": ours.logit_error,
            "ort_logit_error": side(2).and_then(|timing| timing.logit_error),
        });
        let Value::Object(mut fields) = row else { unreachable!("an object") };
        fields.retain(|_, value| !value.is_null());
        Value::Object(fields)
    });
    append(&workspace.root.join(ROWS), rows)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
