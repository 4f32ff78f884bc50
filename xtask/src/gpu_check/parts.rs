//! The parts that run on the GPU machine: one part after another, each for no longer than it may take, what is found written down
//! at once.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use serde_json::Value;

use super::plan::{COMPARISON_LR, FOLDS, MAX_LEN, Plan, RIVALS};
use super::report::{Job, Origin, Part, Report, Speed};
use super::{compare, libraries, limited, pack};
use crate::bench::machine;

/// Two f32 trainings of one model differ by the order of their sums, which AdamW's first steps make more of: it divides
/// each gradient by its own size, so that those that are nothing but rounding move a weight as far as any other.
const TRAJECTORY_TOLERANCE: f64 = 2e-4;

/// bf16 has 8 bits, so single losses differ in the third digit; their means over some steps less.
const CURVE_TOLERANCE: f64 = 0.02;
const CURVE_WINDOW: usize = 10;

/// The flags that the packed script passes on.
#[derive(clap::Args)]
pub struct ThereArguments {
    /// The packed folder.
    #[arg(long)]
    folder: PathBuf,

    /// Where to leave what was found [default: results in the packed folder].
    #[arg(long)]
    results: Option<PathBuf>,

    /// All parts together take no longer than this.
    #[arg(long, default_value_t = 570)]
    seconds: u64,

    /// Only the parts whose name contains this, `tests` say.
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs the parts of the packed folder.
///
/// # Errors
/// If the folder is not whole, or a part failed.
pub fn run(arguments: &ThereArguments) -> Result<()> {
    let folder = fs::canonicalize(&arguments.folder)?;
    let results = arguments.results.clone().unwrap_or_else(|| folder.join("results"));
    let work = folder.join("work");
    for made in [&results, &work] {
        fs::create_dir_all(made)?;
    }
    let packed = folder.join(pack::PLAN);
    let text = fs::read_to_string(&packed)?;
    let plan = Plan::from_json(&text)
        .with_context(|| format!("cannot understand {}", packed.display()))?;
    let python = env::var_os("QUINTET_PYTHON").filter(|python| !python.is_empty());
    let python = python.map_or_else(|| "python3".into(), PathBuf::from);
    let mut session = Session {
        libraries: libraries::find(&python),
        python,
        folder,
        results,
        work,
        deadline: Instant::now() + Duration::from_secs(arguments.seconds),
        only: &arguments.only,
        work_done: format!("{}, competition's texts, batch {}", plan.geometry, plan.batch_size),
        full_curve: None,
        plan: &plan,
        report: Report { machine: machine::description(), ..Report::default() },
    };
    session.all();
    let report = &session.report;
    println!("\n{}", report.table(&session.origin(&machine::today())));
    ensure!(!report.parts.is_empty(), "no part has `{}` in its name", arguments.only);
    let failures = report.failed();
    ensure!(failures == 0, "{failures} parts failed; {} says more", session.results.display());
    Ok(())
}

struct Session<'a> {
    plan: &'a Plan,
    folder: PathBuf,
    results: PathBuf,
    /// A folder for what is large and not to be carried home.
    work: PathBuf,
    python: PathBuf,
    /// Folders for LD_LIBRARY_PATH.
    libraries: OsString,
    deadline: Instant,
    only: &'a str,
    /// The conditions of all timings, in words.
    work_done: String,
    /// Our losses in f32, once they are known.
    full_curve: Option<Vec<f64>>,
    report: Report,
}

impl Session<'_> {
    /// Runs what matters most first: a machine that is lent may be taken back.
    fn all(&mut self) {
        self.part("machine", 30, Self::machine);
        self.part("weights", 60, Self::weights);
        self.part("tests", 120, Self::tests);
        self.part("trajectory", 90, Self::trajectory);
        for precision in self.halves() {
            self.part(&format!("curves {precision}"), 60, |session, limit| {
                session.curves(&precision, limit)
            });
        }
        for at_once in [1, FOLDS] {
            for precision in &self.plan.precisions {
                let name = ours(precision, at_once);
                self.part(&format!("ours {name}"), 60, |session, limit| {
                    session.ours(&name, precision, at_once, limit)
                });
            }
        }
        let (first, last) = RIVALS.split_at(RIVALS.len() - 1);
        self.rivals(first, 60);
        if let Some(precision) = self.plan.precisions.first() {
            self.part("job", 200, |session, limit| session.job(precision, limit));
        }
        // Compiling takes long, so it gets what is left.
        self.rivals(last, 180);
    }

    fn rivals(&mut self, rivals: &[(&str, &[&str])], seconds: u64) {
        for (name, flags) in rivals {
            if self.plan.device == "cpu" && flags.contains(&"--compile") {
                continue; // another compiler, and one that takes minutes
            }
            self.part(&format!("PyTorch {name}"), seconds, |session, limit| {
                session.rival(name, flags, limit)
            });
        }
    }

    /// Runs one part and writes down how it went.
    fn part(
        &mut self,
        name: &str,
        seconds: u64,
        run: impl FnOnce(&mut Self, Limit) -> Result<String>,
    ) {
        if !name.contains(self.only) {
            return;
        }
        let begin = Instant::now();
        // A rehearsal may have to share its machine.
        let patience = if self.plan.device == "cpu" { 5 } else { 1 };
        let deadline = self.deadline.min(begin + Duration::from_secs(patience * seconds));
        println!("-- {name}");
        let outcome = if deadline <= begin {
            Err("no time was left".to_owned())
        } else {
            run(self, Limit(deadline)).map_err(|error| format!("{error:#}"))
        };
        match &outcome {
            Ok(found) => println!("   {found}"),
            Err(reason) => println!("   FAILED: {reason}"),
        }
        let seconds = begin.elapsed().as_secs_f64();
        self.report.parts.push(Part { name: name.to_owned(), outcome, seconds });
        if let Err(error) = self.write() {
            println!("   {error:#}");
        }
    }

    fn write(&self) -> Result<()> {
        let today = machine::today();
        let origin = self.origin(&today);
        let rows: String = self.report.rows(&origin).iter().map(|row| format!("{row}\n")).collect();
        for (name, text) in [("table.txt", self.report.table(&origin)), ("gpu.jsonl", rows)] {
            let path = self.results.join(name);
            fs::write(&path, text)?;
        }
        Ok(())
    }

    fn origin<'a>(&'a self, today: &'a str) -> Origin<'a> {
        Origin {
            date: today,
            commit: &self.plan.commit,
            work: &self.work_done,
            job_samples: self.plan.job_samples(),
        }
    }

    fn machine(&mut self, limit: Limit) -> Result<String> {
        if self.plan.device == "cpu" {
            return Ok(self.report.machine.clone());
        }
        let mut command = Command::new("nvidia-smi");
        command.args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]);
        let said = self.limited(&mut command, "machine", limit)?;
        let card = said.lines().next().unwrap_or_default().trim().to_owned();
        let of_card = card.split(',').next().unwrap_or_default();
        self.report.machine = format!("{of_card}; {}", self.report.machine);
        Ok(card)
    }

    /// The same initial weights for both sides, made by the rival's script as they are too large to carry.
    fn weights(&mut self, limit: Limit) -> Result<String> {
        let model = self.model();
        let mut command = self.rival_script("hf_train.py");
        command.arg("--write-init").arg(&model).args(["--config", &self.plan.geometry]);
        command.arg("--train-csv").arg(self.texts()).arg("--tokenizer").arg(self.tokenizer());
        self.limited(&mut command, "weights", limit)?;
        for entry in fs::read_dir(self.tokenizer())? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, model.join(name))?;
        }
        let bytes = fs::metadata(model.join("model.safetensors"))?.len();
        Ok(format!("{} MB", bytes / 1_000_000))
    }

    fn tests(&mut self, limit: Limit) -> Result<String> {
        let (mut passed, mut broken) = (0, Vec::new());
        for test in &self.plan.tests {
            let mut command = self.program(&format!("tests/{test}"));
            command.arg("cuda");
            if self.plan.device != "cpu" {
                command.arg("--ignored"); // else those that ask for no GPU
            }
            let log = format!("tests-{test}");
            match self.limited(&mut command, &log, limit) {
                Ok(said) => passed += count_passed(&said),
                Err(error) => broken.push(format!("{test}: {error:#}")),
            }
        }
        ensure!(broken.is_empty(), "{}", broken.join("; "));
        Ok(format!("{passed} passed in {} programs", self.plan.tests.len()))
    }

    /// Our first losses beside PyTorch's.
    fn trajectory(&mut self, limit: Limit) -> Result<String> {
        let steps = self.plan.trajectory_steps;
        let ours = self.losses("f32", steps, "trajectory-ours", limit)?;
        let mut command = self.rival_script("gpu_trajectory.py");
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.args(["--lr", COMPARISON_LR]);
        command.arg(format!("--steps={steps}"));
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        command.arg(format!("--max-len={MAX_LEN}"));
        let theirs = limited::answer(&self.limited(&mut command, "trajectory-pytorch", limit)?)?;
        let worst = compare::each_step(&ours, &compare::losses(&theirs)?, TRAJECTORY_TOLERANCE)?;
        Ok(format!(
            "{steps} losses from {:.4} to {:.4}, at most {worst:.1e} from PyTorch's (allowed {TRAJECTORY_TOLERANCE:.0e})",
            ours[0],
            ours[steps - 1]
        ))
    }

    /// Our losses in half precision beside those in f32.
    fn curves(&mut self, precision: &str, limit: Limit) -> Result<String> {
        let steps = self.plan.curve_steps;
        let half = self.losses(precision, steps, &format!("curve-{precision}"), limit)?;
        let full = match self.full_curve.take() {
            Some(full) => full,
            None => self.losses("f32", steps, "curve-f32", limit)?,
        };
        let worst =
            compare::curves(&half, self.full_curve.insert(full), CURVE_WINDOW, CURVE_TOLERANCE)?;
        Ok(format!(
            "{steps} losses, means of {CURVE_WINDOW} at most {worst:.1e} from f32's (allowed {CURVE_TOLERANCE:.0e})"
        ))
    }

    fn losses(&self, precision: &str, steps: usize, log: &str, limit: Limit) -> Result<Vec<f64>> {
        let mut command = self.our_bench("losses", precision);
        command.arg(format!("--steps={steps}"));
        command.args(["--dropout=0", "--lr", COMPARISON_LR]);
        let losses =
            compare::losses(&limited::answer(&self.limited(&mut command, log, limit)?)?)?;
        ensure!(losses.len() == steps, "{} losses of {steps} steps", losses.len());
        Ok(losses)
    }

    fn ours(
        &mut self,
        name: &str,
        precision: &str,
        at_once: usize,
        limit: Limit,
    ) -> Result<String> {
        let mut command = self.our_bench("speed", precision);
        command.arg(format!("--folds-at-once={at_once}"));
        let log = format!("ours-{precision}-{at_once}");
        let answer = limited::answer(&self.limited(&mut command, &log, limit)?)?;
        let speed = Speed::of(name, &answer).context("its answer lacks figures")?;
        let found = told(&speed);
        self.report.ours.push(speed);
        Ok(found)
    }

    fn rival(&mut self, name: &str, flags: &[&str], limit: Limit) -> Result<String> {
        let mut command = self.rival_script("gpu_rival.py");
        command.arg(self.folder.join("rival/hf_train.py"));
        command.args(flags).args(["--config", &self.plan.geometry]).arg("--init").arg(self.model());
        command.arg("--train-csv").arg(self.texts()).arg("--tokenizer").arg(self.tokenizer());
        command.args(["--warmup-steps=20", &format!("--max-len={MAX_LEN}")]);
        command.arg(format!("--steps={}", self.plan.rival_steps));
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        let log = format!("pytorch-{}", name.replace(" --", "-"));
        let answer = limited::answer(&self.limited(&mut command, &log, limit)?)?;
        let speed = Speed::of(name, &answer).context("its answer lacks figures")?;
        let found = told(&speed);
        self.report.rivals.push(speed);
        Ok(found)
    }

    /// The whole training by `native-train`, on the clock from start to end.
    fn job(&mut self, precision: &str, limit: Limit) -> Result<String> {
        let run = self.work.join("job");
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        let mut command = self.program("bin/native-train");
        command.args(["train", "--split=stratified", "--device", &self.plan.device]);
        command.args(["--precision", precision]).args(&self.plan.job_arguments);
        command.arg(format!("--epochs={}", self.plan.job_epochs));
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.arg("--test-csv").arg(self.folder.join(pack::TEST_TEXTS));
        command.arg("--output").arg(&run);
        let begin = Instant::now();
        self.limited(&mut command, "job", limit)?;
        let seconds = begin.elapsed().as_secs_f64();
        let summary = fs::read_to_string(run.join("summary.json"))?;
        let summary: Value = serde_json::from_str(&summary)?;
        let macro_f1 = summary["cross_validation"]["macro_f1_at_half"].as_f64();
        let words: Vec<&str> =
            self.plan.job_arguments.iter().map(|word| word.trim_start_matches('-')).collect();
        let name = [&[precision][..], &words[..]].concat().join(", ");
        let phase = |name: &str| {
            let seconds = summary["seconds"][name].as_f64();
            seconds.map_or_else(String::new, |seconds| format!(", {name} {seconds:.1}"))
        };
        let phases = ["setup", "tokenise", "train", "validate", "predict", "files"].map(phase);
        self.report.job = Some(Job { name, seconds, macro_f1 });
        Ok(format!(
            "{FOLDS} folds, {} epochs: {seconds:.1} s{}",
            self.plan.job_epochs,
            phases.concat()
        ))
    }

    fn halves(&self) -> Vec<String> {
        self.plan.precisions.iter().filter(|precision| *precision != "f32").cloned().collect()
    }

    /// Our bench on the packed texts.
    fn our_bench(&self, case: &str, precision: &str) -> Command {
        let mut command = self.program("bin/bench-gpu");
        command.args(["--case", case, "--device", &self.plan.device, "--precision", precision]);
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        command.arg(format!("--max-len={MAX_LEN}"));
        command
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.current_dir(&self.work).env("LD_LIBRARY_PATH", &self.libraries);
        command.env("RUST_BACKTRACE", "0");
        command
    }

    fn rival_script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.work).arg(self.folder.join("rival").join(name));
        // Its own packages, of which the machine has none; and what the hub has is not to be asked for.
        let path = env::var_os("PYTHONPATH").unwrap_or_default();
        let folders = [self.folder.join(pack::PACKAGES)].into_iter().chain(env::split_paths(&path));
        command.env("PYTHONPATH", env::join_paths(folders).unwrap_or_default());
        command.env("HF_HUB_OFFLINE", "1").env("TOKENIZERS_PARALLELISM", "false");
        if self.plan.device == "cpu" {
            // A rehearsal's times mean nothing, and threads that wait for each other on a busy machine take for ever.
            command.env("OMP_NUM_THREADS", "1");
        }
        command
    }

    fn limited(&self, command: &mut Command, log: &str, limit: Limit) -> Result<String> {
        let left = limit.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no time was left");
        }
        limited::run(command, &self.results.join(format!("{log}.log")), left)
    }

    fn model(&self) -> PathBuf {
        self.work.join("model")
    }

    fn texts(&self) -> PathBuf {
        self.folder.join(pack::TEXTS)
    }

    fn tokenizer(&self) -> PathBuf {
        self.folder.join(pack::TOKENIZER)
    }
}

/// When a part must be over.
#[derive(Clone, Copy)]
struct Limit(Instant);

fn ours(precision: &str, at_once: usize) -> String {
    match at_once {
        1 => format!("{precision}, one fold"),
        _ => format!("{precision}, {at_once} folds at once"),
    }
}

fn told(speed: &Speed) -> String {
    format!("{:.2} ms a step, {:.1} samples/s", speed.step_ms, speed.samples_per_s)
}

/// The tests that Rust's harness says have passed.
fn count_passed(said: &str) -> usize {
    let lines = said.lines().filter_map(|line| line.strip_prefix("test result: "));
    let counts = lines.filter_map(|line| line.split_once(" passed")?.0.rsplit(' ').next());
    counts.filter_map(|count| count.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_added_up() {
        let said = "test a ... ok\n\ntest result: ok. 12 passed; 0 failed; 0 ignored\n\
                    test result: ok. 3 passed; 0 failed; 0 ignored\n";
        assert_eq!(count_passed(said), 15);
        assert_eq!(count_passed("nothing"), 0);
    }
}
