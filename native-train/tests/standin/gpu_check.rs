//! What `cargo xtask gpu-check` packs for a machine with a GPU, run on the stand-in: every part of it, parts that hang and die, and
//! a card that fails.
//!
//! Our programs are the real ones. Scripts stand in for what else such a machine has: `nvidia-smi`, `compute-sanitizer`, and a
//! Python with PyTorch, whose losses are those that our trainer has on the CPU.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cuda_standin::Machine;
use serde_json::{Value, json};

use super::sentences::sentences;
use super::{Place, with_standin};

const NVIDIA_SMI: &str = "#!/bin/sh\necho 'stand-in, 580.0, 81920 MiB'\n";

/// Runs the program that it is given, and finds nothing.
const SANITIZER: &str = r#"#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift 2; done
exec "$@"
"#;

/// Answers as the rival's scripts do.
const PYTHON: &str = r#"#!/bin/sh
rival=${1%/*}
case $1 in
  */hf_train.py) mkdir -p "$3" && cp "$rival"/../initial/* "$3" ;;
  */gpu_trajectory.py)
    shift
    exec "$rival/../bin/bench-gpu" --case losses --device cpu --precision f32 --dropout=0 "$@" ;;
  */gpu_rival.py) echo '{"step_ms_median": 1.0, "samples_per_s": 8.0, "torch": "stand-in"}' ;;
esac
"#;

/// The same, but for one of the rival's ways that hangs, whoever asks it to end, and one that is killed.
const FAULTY_PYTHON: &str = r#"#!/bin/sh
case $* in
  *--mode=dynamic*) trap '' TERM; sleep 600 ;;
  *--mode=notebook*) kill -KILL $$ ;;
esac
exec "${0%/*}/python" "$@"
"#;

const PARTS: [&str; 22] = [
    "machine",
    "memcheck",
    "racecheck",
    "synccheck",
    "initcheck",
    "tests",
    "doctor",
    "weights",
    "trajectory",
    "curves bf16",
    "ours bf16, one fold",
    "ours bf16, 5 folds at once",
    "roofline",
    "PyTorch tuned",
    "PyTorch dynamic",
    "PyTorch notebook",
    "job",
    "curves f16",
    "ours f16, one fold",
    "PyTorch flash",
    "PyTorch compiled",
    "memcheck of all tests",
];

/// A packed folder, on a machine of its own.
struct Packed {
    place: Place,
    folder: PathBuf,
}

/// What a run left.
struct Left {
    succeeded: bool,
    stdout: String,
    table: String,
    rows: String,
    /// The names of the logs, a line each.
    logs: String,
}

#[test]
fn every_part_comes_to_its_end_on_a_card() {
    with_standin(|| {
        let packed = Packed::new();
        let left = packed.run(|machine| machine, "python", &[]);
        assert!(left.succeeded, "{}", left.stdout);
        let parts: Vec<&str> = left.table.lines().filter(|line| line.contains(" s  ")).collect();
        let named = PARTS.iter().filter(|part| parts.iter().any(|line| line.starts_with(*part)));
        assert_eq!(named.collect::<Vec<_>>(), PARTS.iter().collect::<Vec<_>>());
        for line in parts {
            assert!(line.contains(" s  ok  ") && !line.contains("not run"), "{}", left.table);
        }
        let of = |case: &str| left.rows.lines().find(|row| row.contains(case));
        for case in ["one fold", "operation", "whole job"] {
            assert!(of(case).is_some(), "{case}:\n{}", left.rows);
        }
        let row: Value = serde_json::from_str(of("one fold").unwrap()).unwrap();
        assert!(row["launches"].as_f64().unwrap() > 20.0, "the steps went to no card: {row}");
        assert!(left.logs.lines().any(|log| log == "logs/job.log"), "{}", left.logs);
    });
}

#[test]
fn a_part_that_hangs_or_dies_is_told_and_the_others_run() {
    with_standin(|| {
        let packed = Packed::new();
        let left =
            packed.run(|machine| machine, "faulty-python", &["--part-seconds=2", "--only=PyTorch"]);
        assert!(!left.succeeded, "{}", left.table);
        let of = |part: &str| left.part(part);
        assert!(of("PyTorch dynamic").contains("FAILED  it took longer than"), "{}", left.table);
        assert!(of("PyTorch notebook").contains("FAILED  signal: 9"), "{}", left.table);
        assert!(of("PyTorch compiled").contains(" ok "), "{}", left.table);
        assert!(left.rows.is_empty() || left.rows.ends_with('\n'));
        assert!(left.logs.contains("logs/pytorch-dynamic.log"), "{}", left.logs);
    });
}

#[test]
fn a_card_that_fails_is_told_part_by_part() {
    with_standin(|| {
        let packed = Packed::new();
        packed.run(|machine| machine, "python", &["--only=weights"]);
        let left =
            packed.run(|machine| machine.illegal_after(0, 100), "python", &["--only=one fold"]);
        for part in ["ours bf16, one fold", "ours f16, one fold"] {
            let line = left.part(part);
            assert!(line.contains("FAILED  exit status: 1: "), "{line}");
        }
    });
}

impl Packed {
    fn new() -> Self {
        let place = Place::new();
        // Some steps more than a card's results are kept unread for, in a fold: none is timed before.
        fs::write(place.path().join("train.csv"), sentences(45)).unwrap();
        let folder = place.path().join("gpu-check");
        for made in ["bin", "tests", "data", "tokenizer", "initial", "rival"] {
            fs::create_dir_all(folder.join(made)).unwrap();
        }
        let named =
            |name: &str| PathBuf::from(env::var_os(name).expect("set by `cargo xtask test`"));
        let tests = env::var_os("QUINTET_CUDA_TESTS").expect("set by `cargo xtask test`");
        let of_shared = env::split_paths(&tests).find(|test| {
            test.file_name().is_some_and(|name| name.to_string_lossy().starts_with("shared-"))
        });
        for (program, name) in [
            (env!("CARGO_BIN_EXE_native-train").into(), "bin/native-train"),
            (named("QUINTET_GPU_BENCH"), "bin/bench-gpu"),
            (of_shared.unwrap(), "tests/shared"),
        ] {
            symlink(program, folder.join(name)).unwrap();
        }
        let scripts = [
            ("nvidia-smi", NVIDIA_SMI),
            ("compute-sanitizer", SANITIZER),
            ("python", PYTHON),
            ("faulty-python", FAULTY_PYTHON),
        ];
        for (name, script) in scripts {
            let path = place.path().join("machine").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let tiny = place.path().join("tiny");
        for (file, to) in [
            ("config.json", "initial"),
            ("model.safetensors", "initial"),
            ("tokenizer.json", "tokenizer"),
        ] {
            fs::copy(tiny.join(file), folder.join(to).join(file)).unwrap();
        }
        fs::write(folder.join("data/train.csv"), place.read("train.csv")).unwrap();
        fs::write(folder.join("data/test.csv"), place.read("new.csv")).unwrap();
        let plan = json!({
            "commit": "0123456789ab", "geometry": "tiny", "device": "cuda", "rehearsal": true,
            "precisions": ["bf16", "f16"], "trajectory_steps": 8, "curve_steps": 12,
            "rival_steps": 8, "job_epochs": 1, "rows": 45, "batch_size": 1,
            "job_arguments": ["--parallel-folds=auto"], "tests": ["shared"],
            "test_filter": "kernels::cuda::tests::self_check",
        });
        fs::write(folder.join("pack.json"), plan.to_string()).unwrap();
        Self { place, folder }
    }

    /// Runs what the packed script starts, on a machine.
    fn run(&self, set: impl FnOnce(Machine) -> Machine, python: &str, arguments: &[&str]) -> Left {
        let scripts = self.place.path().join("machine");
        let results = self.place.path().join("results");
        let mut command = Command::new(env::var_os("QUINTET_XTASK").unwrap());
        command.arg("gpu-run").arg("--folder").arg(&self.folder);
        command.arg("--results").arg(&results).args(arguments);
        command.env("QUINTET_PYTHON", scripts.join(python));
        command.env("PATH", path_with(&scripts));
        let machine = set(self.place.machine.clone());
        let output = machine.run(&mut command).unwrap().output().unwrap();
        let read = |file: &str| fs::read_to_string(results.join(file)).unwrap();
        let mut list = Command::new("tar");
        let list = list.arg("-tzf").arg(results.join("logs.tgz")).output().unwrap();
        assert!(list.status.success());
        Left {
            succeeded: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            table: read("table.txt"),
            rows: read("gpu.jsonl"),
            logs: String::from_utf8(list.stdout).unwrap(),
        }
    }
}

impl Left {
    /// The table's line of a part.
    fn part(&self, name: &str) -> &str {
        let line = self.table.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{}", self.table))
    }
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let others = env::var_os("PATH").unwrap_or_default();
    env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&others))).unwrap()
}
