//! What strikes a command: SIGKILL at a moment, or a disk that fills up. Both are the system's own; nothing is imitated.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::contents::Contents;
use super::random::Random;
use super::tally::{Struck, When};
use super::victim::{Stage, Victim};

#[derive(Clone, Copy, Debug)]
pub enum Blow {
    /// SIGKILL so long after the start.
    Kill(Duration),
    /// A file system with so many free bytes.
    Disk(u64),
    /// No file may have more than so many bytes (RLIMIT_FSIZE).
    FileSize(u64),
}

/// What a blow has left.
pub struct Left {
    /// The place, to try again in.
    pub place: PathBuf,
    pub struck: Struck,
    /// What the command said when it failed by itself.
    pub said: Option<String>,
}

/// The words in which the system says that there is no room.
const NO_ROOM: [&str; 3] = ["disk is full", "No space left on device", "File too large"];

/// Makes `disk` a file system with `SIZE` bytes, runs the command line there, and leaves its exit code in `code` and its
/// files in `left`.
const ON_A_SMALL_DISK: &str = "
    set -e
    mkdir disk
    mount -t tmpfs -o size=\"$SIZE\" none disk
    cp -R place/. disk
    cd disk
    code=0
    \"$@\" || code=$?
    cd ..
    echo $code > code
    cp -R disk left";

/// Runs the command line with a limit of `BLOCKS` half kilobytes for each file. Without its signal, a write fails.
const WITH_SMALL_FILES: &str = "trap '' XFSZ; ulimit -f \"$BLOCKS\"; exec \"$@\"";

impl Blow {
    /// A blow for this victim: in a tenth of the rounds a disk that fills up, else a kill.
    pub fn choose(victim: &Victim, may_mount: bool, random: &mut Random) -> Self {
        let written = victim.before.new_in(&victim.end);
        let kill = victim.takes.mul_f64(random.unit());
        let (room, largest) = (random.below(written.room()), random.below(written.largest()));
        match (random.once_in(10), may_mount && random.once_in(2)) {
            (false, _) => Self::Kill(kill),
            (true, true) => Self::Disk(room),
            (true, false) => Self::FileSize(largest),
        }
    }

    pub fn strike(self, stage: &Stage, victim: &Victim) -> Result<Left> {
        let place = stage.place(&victim.origin)?;
        let arguments = &victim.plan.arguments;
        match self {
            Self::Kill(moment) => {
                let struck = kill(stage.command(&place, arguments), moment)?;
                let struck = match struck {
                    When::Middle if Contents::of(&place)? == victim.before => When::Before,
                    other => other,
                };
                Ok(Left { place, struck: Struck::Killed(struck), said: None })
            }
            Self::Disk(room) => {
                let round = place.parent().context("a place lies in a round")?.to_owned();
                let size = victim.before.room() + room;
                let mut shell = in_a_namespace(ON_A_SMALL_DISK);
                shell.arg(stage.program()).args(arguments.split_whitespace());
                let output = shell.current_dir(&round).env("SIZE", size.to_string()).output()?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                ensure!(output.status.success(), "no small disk: {said}");
                let code = fs::read_to_string(round.join("code"))?;
                starved(round.join("left"), code.trim(), said)
            }
            Self::FileSize(bytes) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", WITH_SMALL_FILES, "sh"]).arg(stage.program());
                shell.args(arguments.split_whitespace()).current_dir(&place);
                let output = shell.env("BLOCKS", (bytes / 512).to_string()).output()?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                starved(place, &code(&output), said)
            }
        }
    }
}

/// Whether this system lets us mount a file system that can be filled.
pub fn may_mount() -> bool {
    let mut shell = in_a_namespace("mount -t tmpfs none /tmp");
    shell.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A shell in a mount namespace of its own, in which anybody may mount and nothing stays mounted.
pub fn in_a_namespace(script: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    shell.stdin(Stdio::null()).stdout(Stdio::null());
    shell
}

/// Kills the command so long after its start, unless it has ended.
fn kill(mut command: Command, moment: Duration) -> Result<When> {
    let start = Instant::now();
    let mut child = command.stderr(Stdio::null()).spawn()?;
    thread::sleep(moment.saturating_sub(start.elapsed()));
    if let Some(status) = child.try_wait()? {
        ensure!(status.success(), "it failed by itself: {status}");
        return Ok(When::After);
    }
    child.kill()?;
    let status = child.wait()?;
    // It may have ended between the question and the kill.
    Ok(if status.success() { When::After } else { When::Middle })
}

/// What is left of a command that had little room. An error must be told in words.
fn starved(place: PathBuf, code: &str, said: String) -> Result<Left> {
    match code {
        "0" => Ok(Left { place, struck: Struck::Starved(false), said: None }),
        "1" => {
            let in_words = NO_ROOM.iter().any(|words| said.contains(words));
            ensure!(in_words && said.contains("error: "), "it does not say what is full: {said}");
            Ok(Left { place, struck: Struck::Starved(true), said: Some(said) })
        }
        _ => bail!("with a full disk it ended with code {code}: {said}"),
    }
}

fn code(output: &Output) -> String {
    output.status.code().map_or_else(|| "of a signal".to_owned(), |code| code.to_string())
}

/// Sends a signal by its name to a process.
pub fn signal(name: &str, process: u32) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status()?;
    ensure!(status.success(), "SIG{name} cannot be sent");
    Ok(())
}

/// Waits until the file is there; false if the process ends first.
pub fn wait_for_file(file: &Path, child: &mut std::process::Child) -> Result<bool> {
    while !file.exists() {
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}
