//! A real Slurm on this machine, of one node with two cores, and the jobs that `native-train cluster slurm` prints for it: an
//! array of folds of which two run at once, a task that is killed, and a node that dies; and a file that two tasks label.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use crate::setup;
use crate::shell::{self, Shell};
use crate::site;
use crate::survive::Contents;
use crate::workspace::{Workspace, remove_folder};

const FOLDS: usize = 5;

/// The settings of the training, which takes each fold some seconds.
const TRAIN: &str =
    "--model mini --train-csv train.csv --epochs 3 --batch-size 8 --max-len 32 --threads 1";

/// The rows of the demo's file that are trained on.
const ROWS: usize = 400;

/// The parts of the file that is labelled, and its rows: more than a block for each part.
const PARTS: usize = 2;
const NEW_ROWS: usize = 2 * 4096 + 100;

/// How often the jobs are submitted again, at most.
const LATER_SUBMISSIONS: usize = 3;

/// The lines of each log that are printed after a failure.
const LOG_LINES: usize = 40;

const PATIENCE: Duration = Duration::from_secs(240);

/// Trains a run and labels a file by a cluster's tasks, and compares both with what a single process leaves. `Err(reason)`
/// inside: there can be no Slurm here.
///
/// # Errors
/// If they differ, or Slurm's jobs do not end as they should.
pub fn check(workspace: &Workspace) -> Result<Result<(), &'static str>> {
    let shell = Shell::new(workspace);
    if let Err(reason) = setup::slurm(&shell)? {
        return Ok(Err(reason));
    }
    let folder = workspace.target.join("slurm");
    remove_folder(&folder)?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("train.csv"), site::first_rows(workspace, ROWS)?)?;
    let program = workspace.program("native-train");

    let whole = fs::canonicalize(&folder)?.join("whole");
    fs::create_dir_all(&whole)?;
    fs::copy(folder.join("train.csv"), whole.join("train.csv"))?;
    let line = format!("train {TRAIN} --output run --quiet");
    let mut train = shell.command(&program);
    train.current_dir(&whole).args(line.split_whitespace());
    shell::run(train.stdout(Stdio::null()), "the training of one process failed")?;

    let cluster = Cluster::start(&shell, &folder, &program)?;
    let Some(mut cluster) = cluster else { return Ok(Err("Slurm does not start here")) };
    let checked = check_training(&mut cluster, &whole).and_then(|()| check_labelling(&cluster));
    checked.inspect_err(|_| print_logs(&folder))?;
    Ok(Ok(()))
}

fn check_training(cluster: &mut Cluster<'_>, whole: &Path) -> Result<()> {
    cluster.print_jobs(&format!("--set at-once=2 {TRAIN} --output run"))?;
    train_on(cluster)?;
    let expected = Contents::of(&whole.join("run"))?;
    Contents::of(&cluster.folder.join("run"))?.must_be(&expected)
}

/// Labels a file by an array of parts, and by one process.
fn check_labelling(cluster: &Cluster<'_>) -> Result<()> {
    let folder = &cluster.folder;
    let rows = fs::read_to_string(folder.join("train.csv"))?;
    let (header, rows) = rows.split_once('\n').context("the file has a header")?;
    let rows = rows.lines().cycle().take(NEW_ROWS).fold(String::new(), |all, row| all + row + "\n");
    fs::write(folder.join("new.csv"), format!("{header}\n{rows}"))?;

    let predict = "predict --run run --input new.csv --probabilities";
    cluster.print_jobs(&format!("--set parts={PARTS} {predict} --output labelled.csv"))?;
    cluster.submit()?;
    cluster.until("the file is labelled", |folder| folder.join("labelled.csv").exists())?;

    let line = format!("{predict} --threads 1 --output whole.csv --quiet");
    let mut one = cluster.shell.command(&cluster.program);
    one.current_dir(folder).args(line.split_whitespace());
    shell::run(one.stdout(Stdio::null()), "the labelling of one process failed")?;
    let [found, expected] = ["labelled.csv", "whole.csv"].map(|name| fs::read(folder.join(name)));
    ensure!(found? == expected?, "labelled.csv of {PARTS} tasks differs from that of one process");
    Ok(())
}

/// Submits the jobs, disturbs them, and submits them again until the run is gathered.
fn train_on(cluster: &mut Cluster<'_>) -> Result<()> {
    let array = cluster.submit()?;
    cluster.until("two folds train", |folder| trains(folder, 0) && trains(folder, 1))?;
    cluster.say(&["scancel", "--signal=KILL", "--full", &format!("{array}_0")])?;
    cluster.until("the killed task has ended", |_| !cluster.is_running(&array, 0))?;
    // Slurm may have queued it again by itself.
    let job = format!("{array}_0");
    shell::answer(cluster.command("scontrol").args(["requeue", &job]));
    cluster.until("another fold trains", |folder| (2..FOLDS).any(|fold| trains(folder, fold)))?;
    cluster.lose_the_node()?;
    cluster.until("the node's tasks are queued again", |_| {
        (0..FOLDS).all(|fold| !cluster.is_running(&array, fold))
    })?;
    for fold in 0..FOLDS {
        // Slurm lets tasks that were queued again wait for two minutes. Those that have ended cannot be changed.
        let job = format!("JobId={array}_{fold}");
        shell::answer(cluster.command("scontrol").args(["update", &job, "StartTime=now"]));
    }
    cluster.until("nothing is queued", |_| cluster.queue().is_some_and(|jobs| jobs.is_empty()))?;
    let trained = (0..FOLDS).filter(|&fold| is_trained(&cluster.folder, fold)).count();
    eprintln!("slurm: {trained} of {FOLDS} folds are trained by the first submission");
    // The job that gathers was dropped with the task that was killed. Another submission trains what is left: nothing, unless
    // Slurm has refused a task that it had queued again, as it does where the node has not forgotten the first one yet.
    for _ in 0..LATER_SUBMISSIONS {
        cluster.submit()?;
        cluster
            .until("nothing is queued", |_| cluster.queue().is_some_and(|jobs| jobs.is_empty()))?;
        if cluster.folder.join("run/oof.csv").exists() {
            return Ok(());
        }
    }
    bail!("{LATER_SUBMISSIONS} more submissions have not gathered the run")
}

/// The daemons of a cluster of one node.
struct Cluster<'a> {
    shell: &'a Shell<'a>,
    folder: PathBuf,
    /// `native-train`.
    program: PathBuf,
    config: PathBuf,
    daemons: Vec<Child>,
}

impl<'a> Cluster<'a> {
    /// `None` if munge does not start or no node comes up; what they print says why.
    fn start(shell: &'a Shell<'a>, folder: &Path, program: &Path) -> Result<Option<Self>> {
        let folder = fs::canonicalize(folder)?;
        let host = shell::answer(&mut shell.command("hostname")).context("no `hostname` here")?;
        let host = host.split('.').next().unwrap_or_default().to_owned();
        for inner in ["state", "spool"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        let config = folder.join("slurm.conf");
        fs::write(&config, settings(&host, &folder))?;
        if let Err(error) = setup::munge(shell) {
            eprintln!("{error:#}");
            return Ok(None);
        }
        let mut cluster =
            Self { shell, folder, program: program.into(), config, daemons: Vec::new() };
        cluster.daemon("slurmctld")?;
        cluster.daemon("slurmd")?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            let nodes = shell::answer(cluster.command("sinfo").args(["-h", "-o", "%T"]));
            if nodes.is_some_and(|nodes| nodes.contains("idle")) {
                return Ok(Some(cluster));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(None)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.shell.command(program);
        command.current_dir(&self.folder).env("SLURM_CONF", &self.config);
        command
    }

    fn daemon(&mut self, name: &str) -> Result<()> {
        let log = fs::File::create(self.folder.join(format!("{name}.log")))?.into_parts().0;
        let mut command = self.command(name);
        let child =
            command.arg("-D").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.daemons.push(child.with_context(|| format!("cannot start {name}"))?);
        Ok(())
    }

    /// Has `native-train cluster slurm` print the jobs for tasks of a core each.
    fn print_jobs(&self, flags: &str) -> Result<()> {
        let line = format!(
            "cluster slurm --set program={} --set gpus=0 --set cpus=1 --set memory=1 {flags}",
            self.program.display()
        );
        let mut print = self.shell.command(&self.program);
        let script = shell::answer(print.current_dir(&self.folder).args(line.split_whitespace()))
            .context("`native-train cluster slurm` failed")?;
        Ok(fs::write(self.folder.join("job.sh"), script)?)
    }

    /// Submits the printed jobs; returns the array's number.
    fn submit(&self) -> Result<String> {
        let said = shell::answer(self.command("bash").arg("job.sh"))
            .context("the jobs cannot be submitted: see slurmctld.log in the target folder")?;
        eprintln!("slurm: {said}");
        let number = said.split("job ").nth(1).and_then(|rest| rest.split(',').next());
        Ok(number.context("no job's number is printed")?.to_owned())
    }

    /// The jobs that wait or run; `None` if Slurm does not answer.
    fn queue(&self) -> Option<String> {
        shell::answer(self.command("squeue").args(["-h"]))
    }

    fn is_running(&self, array: &str, task: usize) -> bool {
        let job = format!("{array}_{task}");
        let states = shell::answer(self.command("squeue").args(["-h", "-j", &job, "-o", "%T"]));
        states.is_some_and(|states| states.contains("RUNNING") || states.contains("COMPLETING"))
    }

    fn say(&self, line: &[&str]) -> Result<()> {
        let mut command = self.command(line[0]);
        shell::run(command.args(&line[1..]), "Slurm refuses")
    }

    fn until(&self, what: &str, mut reached: impl FnMut(&Path) -> bool) -> Result<()> {
        let started = Instant::now();
        while !reached(&self.folder) {
            ensure!(
                started.elapsed() < PATIENCE,
                "it never came to that: {what}; the logs are in `{}`",
                self.folder.display()
            );
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("slurm: {what}, after {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Kills the node's daemon and all that runs there, and starts the daemon again.
    fn lose_the_node(&mut self) -> Result<()> {
        let mut daemon = self.daemons.pop().context("the node's daemon runs")?;
        daemon.kill()?;
        daemon.wait()?;
        // Both fail where nothing of the name runs.
        let _ = self.command("pkill").args(["-KILL", "slurmstepd"]).status();
        let of_jobs =
            format!("{}.*--only-fold", TRAIN.split(" --train-csv").next().unwrap_or_default());
        let _ = self.command("pkill").args(["-KILL", "-f", "--", &of_jobs]).status();
        eprintln!("slurm: the node is gone");
        self.daemon("slurmd")
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        let _ = self.command("scancel").args(["--user=root"]).status();
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = self.command("pkill").args(["-KILL", "slurmstepd"]).status();
    }
}

/// Prints the ends of what the daemons and the jobs have written.
fn print_logs(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut logs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.retain(|path| path.extension().is_some_and(|it| it == "log" || it == "out"));
    logs.sort();
    for log in logs {
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        eprintln!("slurm: {} ends with\n{}", log.display(), end.join("\n"));
    }
}

fn trains(folder: &Path, fold: usize) -> bool {
    folder.join(format!("run/fold-{fold}/checkpoint")).exists()
}

fn is_trained(folder: &Path, fold: usize) -> bool {
    folder.join(format!("run/fold-{fold}/model.safetensors")).exists()
}

fn settings(host: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "ClusterName=local\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n\
         StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\nSlurmctldPidFile={folder}/slurmctld.pid\n\
         SlurmdPidFile={folder}/slurmd.pid\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
         JobAcctGatherType=jobacct_gather/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
         ReturnToService=2\nSlurmdTimeout=10\nKillWait=5\nSchedulerParameters=sched_interval=1,bf_interval=1\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN\n\
         PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
    )
}
