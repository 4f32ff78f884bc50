//! Running a program for no longer than it may take.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fs_err::{self as fs, File};

const POLL: Duration = Duration::from_millis(20);

/// Time to end by itself after it was told to.
const GRACE: Duration = Duration::from_secs(3);

/// Time to be gone after it was killed. A process that waits within a driver never is, and is left behind.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `command` with all that it prints going to `log`, and returns what that is.
///
/// # Errors
/// If it cannot start, fails or takes longer than `limit`; its last line of output is part of the message.
pub fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<String> {
    let output = File::create(log)?;
    let errors = output.try_clone()?;
    command.stdin(Stdio::null()).stdout(output.into_file()).stderr(errors.into_file());
    in_a_group_of_its_own(command);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let Some(status) = wait(&mut child, limit)? else {
        end(&mut child)?;
        bail!("it took longer than {} s", limit.as_secs());
    };
    let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    if !status.success() {
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("silence");
        bail!("{status}: {}", last.trim());
    }
    Ok(said)
}

/// Makes the processes that it starts in turn end with it.
fn in_a_group_of_its_own(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

fn end(child: &mut Child) -> Result<()> {
    let group = format!("-{}", child.id());
    // By the shell's own `kill`: a small machine has no other.
    let signal = |name: &str| {
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill \"$0\" \"$1\"", name, &group]).stderr(Stdio::null());
        drop(kill.status());
    };
    signal("-TERM");
    wait(child, GRACE)?;
    // Also what it may have left behind.
    signal("-KILL");
    child.kill().ok();
    if wait(child, PATIENCE)?.is_none() {
        eprintln!("process {} does not end, and is left behind", child.id());
    }
    Ok(())
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

/// The last line that is a JSON object: what a program answers, whatever it said before.
pub fn answer(said: &str) -> Result<serde_json::Value> {
    said.lines()
        .rev()
        .find_map(|line| {
            serde_json::from_str(line).ok().filter(|value: &serde_json::Value| value.is_object())
        })
        .context("it printed no answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, name: &str, limit: Duration) -> Result<String> {
        let log = std::env::temp_dir().join(format!("quintet-{name}-{}.log", std::process::id()));
        let outcome = run(Command::new("sh").args(["-c", script]), &log, limit);
        fs::remove_file(&log).expect("it was written");
        outcome
    }

    #[test]
    fn both_outputs_are_returned() {
        let said = shell("echo out; echo err >&2", "both", Duration::from_secs(9));
        assert_eq!(said.expect("it passes"), "out\nerr\n");
    }

    #[test]
    fn a_failure_carries_the_last_words() {
        let error = shell("echo why; exit 3", "failure", Duration::from_secs(9)).unwrap_err();
        assert_eq!(error.to_string(), "exit status: 3: why");
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let begin = Instant::now();
        let script = "sleep 60 & echo $!; wait";
        let log = std::env::temp_dir().join(format!("quintet-long-{}.log", std::process::id()));
        let error = run(Command::new("sh").args(["-c", script]), &log, Duration::from_millis(300));
        assert!(error.unwrap_err().to_string().starts_with("it took longer than"));
        assert!(begin.elapsed() < Duration::from_secs(30));
        let sleeper = fs::read_to_string(&log).expect("it was written");
        fs::remove_file(&log).expect("it was written");
        // Killed, it may take a moment to go, and then be listed until it is reaped: as a zombie.
        let is_gone = || {
            let status = fs::read_to_string(format!("/proc/{}/status", sleeper.trim()));
            status.map_or(true, |status| status.contains("State:\tZ"))
        };
        while !is_gone() {
            assert!(begin.elapsed() < Duration::from_secs(30), "it is still there");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn an_answer_is_the_last_object() {
        let said = "{\"a\": 1}\nwarning: {not json}\n{\"b\": 2}\nbye\n";
        assert_eq!(answer(said).expect("an answer")["b"], 2);
        assert!(answer("12\nnothing").is_err());
    }
}
