//! `cluster`: the jobs that it prints, and what it refuses.

use std::process::{Command, Stdio};
use std::{fs, io::Write};

use super::{Folder, sentences};

const TRAIN: &str = "--train-csv train.csv --folds 3 --output runs/base";

fn folder() -> Folder {
    Folder::with(&[("train.csv", &sentences(60))])
}

#[test]
fn slurms_jobs_are_an_array_and_what_depends_on_it() {
    let folder = folder();
    insta::assert_snapshot!(folder.run(&format!(
        "cluster slurm --set at-once=2 --set partition=gpu --set setup=true {TRAIN} --lr 1e-4"
    )));
}

#[test]
fn kubernetes_jobs_are_an_indexed_job_and_one_that_gathers() {
    let folder = folder();
    insta::assert_snapshot!(folder.run(&format!(
        "cluster kubernetes --set claim=data --set at-once=8 --set seeds=1,2 {TRAIN}"
    )));
}

#[test]
fn what_is_no_job_is_refused() {
    let folder = folder();
    for (flags, expected) in [
        ("slurm --output runs/base", "error: `--train-csv` is missing"),
        ("slurm --train-csv train.csv", "error: `--output` is missing"),
        (&format!("slurm {TRAIN} --only-fold 1"), "error: `--only-fold` is not for `cluster`"),
        (&format!("slurm {TRAIN} --resume"), "error: `--resume` is not for `cluster`"),
        (
            &format!("slurm --set seeds=1,2 {TRAIN} --seed 3"),
            "error: `--seed` is not for `cluster`",
        ),
        (&format!("slurm {TRAIN} --lrr 3"), "error: unexpected argument '--lrr' found"),
        (
            &format!("slurm --set gpus=2 {TRAIN}"),
            "error: `--set gpus=2`: a task takes one GPU at most",
        ),
        (&format!("slurm --set seeds=1,2,1 {TRAIN}"), "a seed is named twice"),
        (&format!("kubernetes --set name=My_job {TRAIN}"), "it must have small letters, digits"),
        (
            &format!("slurm --set claim=a {TRAIN}"),
            "error: `--set claim=a`: unknown key\nhint: the keys are name, program, ",
        ),
        (
            "slurm --train-csv train.csv --folds 0 --output run",
            "error: `folds` is 0, but must be 2 or more",
        ),
        (&format!("kubernetes {TRAIN}"), "error: `--set claim=NAME` is missing"),
    ] {
        let said = folder.run(&format!("cluster {flags}"));
        assert!(said.starts_with("exit code: 2\n") && said.contains(expected), "{flags}: {said}");
    }
}

/// The two jobs, run by a shell as Slurm runs them. `xtask`'s tests submit them to a real Slurm.
#[test]
fn the_tasks_of_the_array_are_folds_of_one_run() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_native-train");
    let said = folder.run(&format!(
        "cluster slurm --set program={program} --set cpus=1 --train-csv train.csv --folds 2 --model mini \
         --epochs 1 --max-len 16 --output run"
    ));
    let script = said.split_once("--- stdout\n").unwrap().1;
    let jobs = heredocs(script);
    assert_eq!(jobs.len(), 2);
    for fold in ["0", "1"] {
        assert_eq!(shell(&folder, &jobs[0], fold), Some(0));
        assert!(folder.path().join(format!("run/fold-{fold}/model.safetensors")).exists());
    }
    fs::remove_file(folder.path().join("run/oof.csv")).unwrap();
    assert_eq!(shell(&folder, &jobs[1], ""), Some(0));
    assert!(folder.path().join("run/oof.csv").exists());
}

#[test]
fn a_file_is_labelled_by_an_array_of_parts() {
    let folder = folder();
    insta::assert_snapshot!(folder.run(
        "cluster slurm --set parts=3 --set at-once=2 predict --run runs/base --input new.csv \
         --output labelled/new.csv.gz --probabilities"
    ));
    insta::assert_snapshot!(folder.run(
        "cluster kubernetes --set claim=data predict --run runs/base --input new.csv --output labelled.csv"
    ));
}

#[test]
fn what_is_no_labelling_is_refused() {
    let folder = folder();
    let predict = "predict --run run --input new.csv --output labelled.csv";
    for (flags, expected) in [
        (
            "slurm predict --run run".to_owned(),
            "error: the following required arguments were not provided: --input <FILE> --output <FILE>\n\
             hint: give `cluster` the flags of `predict`",
        ),
        (format!("slurm {predict} --part 0/2"), "error: `--part` is not for `cluster`"),
        (format!("slurm --set seeds=1,2 {predict}"), "error: `--set seeds` is not for `predict`"),
        (format!("slurm --set parts=2 {TRAIN}"), "error: `--set parts` is not for trainings"),
        (
            format!("slurm {predict} --output-format parquet"),
            "error: `--output labelled.csv`: parts of Parquet cannot be put together by `cat`",
        ),
    ] {
        let said = folder.run(&format!("cluster {flags}"));
        assert!(said.starts_with("exit code: 2\n") && said.contains(expected), "{flags}: {said}");
    }
}

/// The two jobs of a labelling, run by a shell as Slurm runs them, in a folder whose name a shell must be told.
#[test]
fn the_tasks_of_a_labelling_are_parts_of_one_file() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_native-train");
    folder.run(
        "train --train-csv train.csv --folds 2 --model mini --epochs 1 --max-len 16 --output run --threads 1",
    );
    fs::create_dir(folder.path().join("the answers")).unwrap();
    let predict = "predict --run run --input train.csv";
    folder.run(&format!("{predict} --output whole.csv --threads 1"));
    let mut command = folder.command(&format!(
        "cluster slurm --set program={program} --set cpus=1 --set parts=2 {predict} --output"
    ));
    let printed = command.arg("the answers/new.csv").output().unwrap();
    let jobs = heredocs(&String::from_utf8(printed.stdout).unwrap());
    assert_eq!(jobs.len(), 2);
    for part in ["0", "1"] {
        assert_eq!(shell(&folder, &jobs[0], part), Some(0));
    }
    let parts = || fs::read_dir(folder.path().join("the answers")).unwrap().count();
    assert_eq!(parts(), 2);
    assert_eq!(shell(&folder, &jobs[1], ""), Some(0));
    assert_eq!(parts(), 1);
    assert_eq!(folder.read("the answers/new.csv"), folder.read("whole.csv"));
}

/// Near its time limit a task gets SIGTERM. A training that ends by it before it listens is queued again.
#[test]
fn a_task_that_is_stopped_before_it_listens_is_queued_again() {
    let folder = folder();
    folder.write("scontrol", "#!/bin/sh\necho \"$@\" > requeued\n");
    // Stops the task's shell, and itself when that stops it.
    folder.write("stopped", "#!/bin/sh\nkill -TERM $PPID\nsleep 10\n");
    for program in ["scontrol", "stopped"] {
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path().join(program), executable).unwrap();
    }
    let said = folder.run(&format!("cluster slurm --set program=./stopped {TRAIN}"));
    let job = &heredocs(&said)[0];
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let job = format!("export PATH={path} SLURM_ARRAY_JOB_ID=7\n{job}");
    assert_eq!(shell(&folder, &job, "1"), Some(143));
    assert_eq!(folder.read("requeued"), "requeue 7_1\n");
}

/// The threads of a run that did not name any, in `command`'s environment.
fn threads_of(folder: &Folder, command: &mut Command) -> String {
    let _ = fs::remove_dir_all(folder.path().join("run"));
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", super::told(&output));
    let config = folder.read("run/config.toml");
    config.lines().find_map(|line| line.strip_prefix("threads = ")).unwrap().to_owned()
}

const ONE_FOLD: &str = "train --train-csv train.csv --folds 2 --only-fold 0 --model mini --epochs 1 --max-len 16 \
                        --device cpu --output run --quiet";

/// Where affinity or cgroup leave fewer, they count.
#[test]
fn threads_are_those_that_slurm_gave_the_task() {
    let folder = folder();
    let threads = |variables: &[(&str, &str)], more: &str| {
        let mut command = folder.command(&format!("{ONE_FOLD}{more}"));
        command.env_remove("SLURM_CPUS_PER_TASK").env_remove("SLURM_CPUS_ON_NODE");
        threads_of(&folder, command.envs(variables.iter().copied()))
    };
    let all = threads(&[], "");
    assert_eq!(threads(&[("SLURM_CPUS_PER_TASK", "1"), ("SLURM_CPUS_ON_NODE", "64")], ""), "1");
    assert_eq!(threads(&[("SLURM_CPUS_ON_NODE", "1")], ""), "1");
    assert_eq!(threads(&[("SLURM_CPUS_PER_TASK", "4096")], ""), all);
    assert_eq!(threads(&[("SLURM_CPUS_PER_TASK", "1")], " --threads 2"), "2");
}

#[cfg(target_os = "linux")]
#[test]
fn threads_are_those_that_the_affinity_leaves() {
    if Command::new("taskset").arg("--version").output().is_err() {
        eprintln!("skipped: no taskset");
        return;
    }
    let folder = folder();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0", env!("CARGO_BIN_EXE_native-train")]);
    command.args(ONE_FOLD.split_whitespace());
    command.env_remove("SLURM_CPUS_PER_TASK").env_remove("SLURM_CPUS_ON_NODE");
    assert_eq!(threads_of(&folder, &mut command), "1");
}

fn heredocs(script: &str) -> Vec<String> {
    let parts = script.split("<<'JOB'\n").skip(1);
    parts.map(|part| part.split("\nJOB\n").next().unwrap().to_owned() + "\n").collect()
}

fn shell(folder: &Folder, job: &str, task: &str) -> Option<i32> {
    let mut shell = Command::new("bash")
        .current_dir(folder.path())
        .env("SLURM_ARRAY_TASK_ID", task)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(job.as_bytes()).unwrap();
    shell.wait().unwrap().code()
}
