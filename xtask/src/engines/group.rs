//! A group of processes that ends with the one that has started it, however that ends.
//!
//! A shell leads the group. It waits for the end of a pipe whose other end is in this process alone, and then kills the group. So
//! a browser, its driver and its screen do not outlive a test that was killed. Where there are no process groups (on Windows),
//! nothing looks after them.

use std::process::Command;

use anyhow::Result;

/// Dropping it kills all that has entered, and what that has started.
pub struct Group {
    #[cfg(unix)]
    leader: std::process::Child,
}

#[cfg(unix)]
impl Group {
    /// # Errors
    /// If there is no shell.
    pub fn new() -> Result<Self> {
        use std::os::unix::process::CommandExt;
        use std::process::Stdio;

        use anyhow::Context;

        let mut shell = Command::new("sh");
        shell.args(["-c", "read _; kill -KILL 0"]).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { leader: shell.spawn().context("cannot start `sh`")? })
    }

    /// Lets the process that will be started, and all that it starts, belong to the group.
    pub fn enter<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        std::os::unix::process::CommandExt::process_group(command, self.leader.id() as i32)
    }
}

#[cfg(not(unix))]
impl Group {
    /// # Errors
    /// None: it does nothing.
    pub fn new() -> Result<Self> {
        Ok(Self {})
    }

    pub fn enter<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        drop(self.leader.stdin.take());
        // It has gone, or it goes now.
        drop(self.leader.wait());
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    /// A killed run left screens and browsers behind, which nobody ended.
    #[test]
    fn what_a_member_has_started_ends_with_the_group() {
        let group = Group::new().unwrap();
        let mut member = Command::new("sh");
        // The sleeper holds the other end of the pipe, so that this ends when it is gone.
        member.args(["-c", "sleep 1000 & echo started; exit"]).stdout(Stdio::piped());
        let mut member = group.enter(&mut member).spawn().unwrap();
        let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "started");
        assert!(member.wait().unwrap().success());
        drop(group);
        assert!(lines.next().is_none());
    }
}
