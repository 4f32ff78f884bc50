//! The parts that run on the GPU machine: one part after another, each for no longer than it may take, what is found written down
//! at once.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::plan::{COMPILED_RIVALS, FOLDS, Plan, RIVALS};
use super::report::{Part, Report};
use super::sanitizer::{SELF_CHECK, TOOLS};
use super::session::{LOGS, Limit, Session};
use super::{libraries, pack};
use crate::bench::machine;

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
    #[arg(long, default_value_t = 540)]
    seconds: u64,

    /// No part takes longer than this [default: each has a limit of its own].
    #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX, hide_default_value = true)]
    part_seconds: u64,

    /// Only the parts whose name contains this, `tests` say.
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs the parts of the packed folder.
///
/// # Errors
/// If the folder is not whole, or a part failed.
pub fn run(arguments: &ThereArguments) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(arguments.seconds);
    let folder = fs::canonicalize(&arguments.folder)?;
    let results = arguments.results.clone().unwrap_or_else(|| folder.join("results"));
    let work = folder.join("work");
    let logs = work.join(LOGS);
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    for made in [&results, &logs] {
        fs::create_dir_all(made)?;
    }
    let packed = folder.join(pack::PLAN);
    let text = fs::read_to_string(&packed)?;
    let plan = Plan::from_json(&text)
        .with_context(|| format!("cannot understand {}", packed.display()))?;
    let python = env::var_os("QUINTET_PYTHON").filter(|python| !python.is_empty());
    let python = python.map_or_else(|| "python3".into(), PathBuf::from);
    let mut session = Session {
        libraries: libraries::find(&python, &logs.join("libraries.log")),
        python,
        folder,
        results,
        work,
        deadline,
        part_seconds: arguments.part_seconds,
        only: &arguments.only,
        work_done: format!("{}, competition's texts, batch {}", plan.geometry, plan.batch_size),
        full_curve: None,
        weights: None,
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

impl Session<'_> {
    /// Runs what matters most first: a machine that is lent may be taken back.
    fn all(&mut self) {
        self.part("machine", 20, Self::machine);
        if "weights".contains(self.only) {
            // Importing PyTorch from a cold disk takes a minute, in which the card has something else to do.
            self.begin_weights(180);
        }
        for tool in TOOLS {
            self.part(tool, 40, |session, limit| session.sanitize(tool, SELF_CHECK, limit));
        }
        self.part("tests", 60, Self::tests);
        self.part("doctor", 40, Self::doctor);
        self.part("weights", 180, Self::weights);
        self.part("trajectory", 90, Self::trajectory);
        let precisions = self.plan.precisions.clone();
        let Some((best, others)) = precisions.split_first() else { return };
        self.curves_of(best);
        self.ours_of(best, 1);
        self.ours_of(best, FOLDS);
        self.part("roofline", 60, |session, limit| session.roofline(best, limit));
        for (name, flags) in RIVALS {
            self.rival_of(name, flags, 60);
        }
        self.part("job", 180, |session, limit| session.job(best, limit));
        for precision in others {
            self.curves_of(precision);
            self.ours_of(precision, 1);
        }
        for (name, flags) in COMPILED_RIVALS {
            self.rival_of(name, flags, 150);
        }
        self.part("memcheck of all tests", 300, |session, limit| {
            session.sanitize(TOOLS[0], &session.plan.test_filter, limit)
        });
    }

    fn curves_of(&mut self, precision: &str) {
        if precision != "f32" {
            let name = format!("curves {precision}");
            self.part(&name, 60, |session, limit| session.curves(precision, limit));
        }
    }

    fn ours_of(&mut self, precision: &str, at_once: usize) {
        let name = match at_once {
            1 => format!("{precision}, one fold"),
            _ => format!("{precision}, {at_once} folds at once"),
        };
        self.part(&format!("ours {name}"), 120, |session, limit| {
            session.ours(&name, precision, at_once, limit)
        });
    }

    fn rival_of(&mut self, name: &str, flags: &[&str], seconds: u64) {
        if self.plan.device == "cpu" && flags.contains(&"--compile") {
            return; // another compiler, and one that takes minutes
        }
        self.part(&format!("PyTorch {name}"), seconds, |session, limit| {
            session.rival(name, flags, limit)
        });
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
        let deadline = self.limit(seconds).0;
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
}
