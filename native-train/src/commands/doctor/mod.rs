//! `doctor`: describes this machine as the program finds it, checks what it computes with, and times it.
//!
//! An issue report should hold what it prints.

mod bandwidth;
mod processor;
mod speed;

use std::fmt::Write;
use std::fs;

use anyhow::Result;
use serde::Serialize;

use super::stdout::print;
use crate::cli::DoctorArgs;
use crate::device::{self, Device, Library};
use crate::progress::Progress;
use crate::threads;
use crate::trust::{self, Identity, Verdict};
use processor::Processor;
use speed::Speed;

/// The program, the machine and what was measured.
#[derive(Serialize)]
struct Report {
    program: Program,
    processor: Processor,
    /// Bytes a second that all threads copy together, read and written, in 10^9.
    memory_gb_per_s: f64,
    gpus: Gpus,
    /// The device that was timed.
    device: String,
    /// The check of a GPU's kernels, if a GPU was asked for.
    check: Option<Check>,
    speed: Option<Speed>,
}

#[derive(Serialize)]
struct Program {
    version: &'static str,
    system: &'static str,
    architecture: &'static str,
    /// The release of the system's kernel, where Linux tells it.
    kernel: Option<String>,
    /// Whether it was built with the feature `cuda`.
    cuda: bool,
    /// The machine code that its CUDA kernels are compiled to.
    machine_code: Option<&'static str>,
}

#[derive(Serialize)]
struct Gpus {
    driver: Option<String>,
    cards: Vec<Gpu>,
    /// Why none can be used.
    reason: Option<String>,
    libraries: Vec<Library>,
}

#[derive(Serialize)]
struct Gpu {
    name: String,
    compute_capability: String,
}

/// How the kernels did, and the card's memory.
#[derive(Serialize)]
struct Check {
    #[serde(flatten)]
    verdict: Verdict,
    seconds: f64,
    usable: bool,
    memory_free_bytes: u64,
    memory_bytes: u64,
}

/// Prints the report.
///
/// # Errors
/// If the device is not there, or a GPU cannot be used.
pub fn run(args: &DoctorArgs, progress: &mut Progress) -> Result<()> {
    threads::set(args.threads)?;
    let device = args.device.resolve_one(device::cards)?;
    progress.note("doctor: measuring, which takes some seconds");
    let mut report = Report {
        program: program(),
        processor: Processor::found(args.threads),
        memory_gb_per_s: bandwidth::of_copies(),
        gpus: gpus(),
        device: device.to_string(),
        check: None,
        speed: None,
    };
    report.check = check(device)?;
    let verdict = report.check.as_ref().map(|check| &check.verdict);
    // A card that cannot be used is described all the same, and then refused.
    let refusal = match verdict.map(|verdict| verdict.act(device)).transpose() {
        Ok(warnings) => {
            warnings.into_iter().flatten().for_each(|warning| progress.warn(warning));
            report.speed = (!args.untimed).then(|| speed::measure(device)).transpose()?;
            None
        }
        Err(refusal) => Some(refusal),
    };
    print(&match args.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => report.to_text(),
    })?;
    refusal.map_or(Ok(()), Err)
}

fn program() -> Program {
    Program {
        version: env!("CARGO_PKG_VERSION"),
        system: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        cuda: cfg!(feature = "cuda"),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .ok()
            .map(|it| it.trim().to_owned()),
        machine_code: shared::kernels::cuda::MACHINE_CODE,
    }
}

fn gpus() -> Gpus {
    let (cards, reason) = match device::cards() {
        Ok(cards) => (cards, None),
        Err(reason) => (&[][..], Some(reason.to_owned())),
    };
    let gpu = |card: &device::Card| {
        let (major, minor) = card.compute_capability;
        Gpu { name: card.name.clone(), compute_capability: format!("{major}.{minor}") }
    };
    Gpus {
        driver: device::driver(),
        cards: cards.iter().map(gpu).collect(),
        reason,
        libraries: device::libraries(),
    }
}

/// Checks a GPU, whatever is remembered of it.
fn check(device: Device) -> Result<Option<Check>> {
    let Device::Cuda(_) = device else { return Ok(None) };
    let opened = device::open(device)?;
    let memory = device::memory(&opened)?;
    let verdict = trust::check(&Identity::of(device)?, trust::cache().as_deref(), &opened)?;
    Ok(Some(Check {
        seconds: verdict.seconds.unwrap_or_default(),
        usable: verdict.is_usable(),
        memory_free_bytes: memory.map_or(0, |memory| memory.free),
        memory_bytes: memory.map_or(0, |memory| memory.total),
        verdict,
    }))
}

impl Report {
    /// A line for each finding, its subject first.
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |subject: &str, what: &str| {
            writeln!(text, "{subject:<13} {what}").expect("a string takes all");
        };
        let Program { version, system, architecture, kernel, cuda, machine_code } = &self.program;
        let build = match (cuda, machine_code) {
            (true, Some(code)) => format!("with CUDA ({code})"),
            (true, None) => "with CUDA".to_owned(),
            (false, _) => "without CUDA".to_owned(),
        };
        line("program", &format!("native-train {version} for {architecture}, {build}"));
        line("system", &format!("{system} {}", kernel.as_deref().unwrap_or_default()));
        for (subject, what) in self.processor.lines() {
            line(subject, &what);
        }
        line("bandwidth", &format!("{:.1} GB/s, copying with all threads", self.memory_gb_per_s));
        for (ordinal, Gpu { name, compute_capability }) in self.gpus.cards.iter().enumerate() {
            line("GPU", &format!("cuda:{ordinal} {name}, compute capability {compute_capability}"));
        }
        if let Some(reason) = &self.gpus.reason {
            line("GPU", &format!("none is used: {reason}"));
        }
        if let Some(driver) = &self.gpus.driver {
            line("driver", driver);
        }
        for Library { file, place } in &self.gpus.libraries {
            line("library", &format!("{file}: {place}"));
        }
        if let Some(check) = &self.check {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let (free, all) = (gib(check.memory_free_bytes), gib(check.memory_bytes));
            line("GPU memory", &format!("{free:.1} GiB free of {all:.1} GiB"));
            for found in &check.verdict.differences {
                let way = if found.goes_plain { "goes by simpler kernels" } else { "unusable" };
                line("self-check", &format!("{way}: {}", found.finding));
            }
            let passed = if check.verdict.differences.is_empty() { "every" } else { "every other" };
            let seconds = check.seconds;
            line("self-check", &format!("{passed} kernel agrees with the CPU ({seconds:.2} s)"));
        }
        if let Some(speed) = &self.speed {
            line("speed", &speed.to_text(&self.device));
        }
        text
    }
}
