//! Opens a URL in the browser of whoever sits in front of the machine.

use std::env;
use std::process::{Command, Stdio};

use crate::shell::Shell;

/// Where there is a desktop; elsewhere, or where its opener fails, the printed URL has to do.
pub fn open(shell: &Shell, url: &str) {
    if let Some(mut opener) = opener(shell, url) {
        let quiet = opener.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Not waited for: some openers live as long as the browser they start.
        drop(quiet.spawn());
    }
}

fn opener(shell: &Shell, url: &str) -> Option<Command> {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    let words: &[&str] = match env::consts::OS {
        "macos" => &["open"],
        // `start` takes a first quoted word for the window's title.
        "windows" => &["cmd", "/C", "start", ""],
        _ if has_display => &["xdg-open"],
        _ => &[],
    };
    let (program, arguments) = words.split_first()?;
    shell.find(&[program])?;
    let mut command = shell.command(program);
    command.args(arguments).arg(url);
    Some(command)
}
