//! The process that drives a browser, and the screen that it needs where it has no headless mode.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde_json::Value;

use super::group::Group;
use super::types::{Engine, Found, Storage, Wishes};
use super::{firefox, webkit};
use crate::chromium;
use crate::shell::Shell;

/// The longest that a driver takes to listen on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a driver is started that does not listen.
const STARTS: usize = 3;

const PAUSE: Duration = Duration::from_millis(20);

/// Words that a driver prints before the port that it has chosen.
const PORT_FOLLOWS: [&str; 2] = ["on port ", "Listening on 127.0.0.1:"];

/// A driver that lives as long as this value, and no longer than this process.
pub struct Driver {
    port: u16,
    /// The file of all that driver and browser print.
    said: PathBuf,
    capabilities: Value,
    _process: Killed,
    _display: Option<Killed>,
    _group: Group,
}

impl Driver {
    /// Starts the driver of an engine; whatever its browser keeps goes into `folder`, what it saves into `downloads` there.
    ///
    /// # Errors
    /// If a program is missing, or the driver or the screen does not start.
    pub fn start(shell: &Shell, engine: Engine, folder: &Path, wishes: Wishes) -> Result<Self> {
        // The port that one protocol gave a driver may be another's in the other protocol: it then ends at once.
        let start = || Self::start_once(shell, engine, folder, wishes);
        (1..STARTS).fold(start(), |started, _| started.or_else(|_| start()))
    }

    fn start_once(shell: &Shell, engine: Engine, folder: &Path, wishes: Wishes) -> Result<Self> {
        let Found { browser, driver, display } = engine.find(shell)?;
        let downloads = folder.join("downloads");
        fs::create_dir_all(&downloads)?;
        let browser = browser.unwrap_or_default();
        let mut command = shell.command(&driver);
        let (port, capabilities) = match engine {
            Engine::Chromium => {
                command.args(["--port=0", "--log-level=SEVERE"]);
                let flags = [
                    format!("--user-data-dir={}", folder.join("profile").display()),
                    format!("--log-net-log={}", folder.join("net.json").display()),
                ];
                // "Block all cookies", which blocks what sites keep in any other way, too.
                const BLOCKED: (&str, u8) = ("profile.default_content_setting_values.cookies", 2);
                let settings = match wishes.storage {
                    // A limit can be set while it runs.
                    Storage::Usual | Storage::Scarce => Vec::new(),
                    Storage::Forbidden => vec![(BLOCKED.0, BLOCKED.1.into())],
                };
                (None, chromium::capabilities(&browser, &flags, &settings))
            }
            Engine::Firefox => {
                firefox::prepare(&mut command, folder);
                (None, firefox::capabilities(&browser, &downloads, wishes))
            }
            Engine::WebKit => {
                let port = free_port()?;
                webkit::prepare(&mut command, folder, port)?;
                (Some(port), webkit::capabilities(wishes))
            }
        };
        let group = Group::new()?;
        let screen = match display {
            Some(program) => Some(Screen::start(&group, shell, &program, folder)?),
            None => None,
        };
        let display = screen.map(|screen| {
            command.env("DISPLAY", &screen.name);
            screen.process
        });
        let said = folder.join("said.txt");
        let mut process = Killed(start(group.enter(&mut command), &said)?);
        let port = listening(&mut process.0, || match port {
            Some(port) => TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(port),
            None => fs::read_to_string(&said).ok()?.split_inclusive('\n').find_map(port_in),
        });
        let port = port.with_context(|| {
            let words = fs::read_to_string(&said).unwrap_or_default();
            format!("{} does not start; it says: {}", driver.display(), words.trim())
        })?;
        Ok(Self { port, said, capabilities, _process: process, _display: display, _group: group })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The capabilities that a session is to be asked for.
    pub fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    /// What driver and browser have printed so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap_or_default()).into_owned()
    }
}

/// A screen that nobody sees.
struct Screen {
    name: String,
    process: Killed,
}

impl Screen {
    fn start(group: &Group, shell: &Shell, program: &Path, folder: &Path) -> Result<Self> {
        let number = folder.join("display.txt");
        let mut command = shell.command(program);
        command.args(["-displayfd", "1", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]);
        let mut process = Killed(start(group.enter(&mut command), &number)?);
        // It prints the number with a line's end.
        let found = listening(&mut process.0, || number_in(&fs::read_to_string(&number).ok()?));
        let number = found.with_context(|| format!("{} does not start", program.display()))?;
        Ok(Self { name: format!(":{number}"), process })
    }
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It is gone already or it goes now; a test's verdict does not hang on it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(command: &mut Command, said: &Path) -> Result<Child> {
    let file = File::create(said)?;
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    command.spawn().with_context(|| format!("cannot start {program}"))
}

/// Waits until `answer` gives one.
fn listening<T>(process: &mut Child, answer: impl Fn() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = answer() {
            return Ok(answer);
        }
        if let Some(status) = process.try_wait()? {
            bail!("it has ended ({status})");
        }
        thread::sleep(PAUSE);
    }
    bail!("no sign of it after {} s", PATIENCE.as_secs())
}

/// A port for a driver that takes no other than a given one.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// The number that is a line of its own, among warnings.
fn number_in(said: &str) -> Option<u32> {
    said.split_inclusive('\n').find_map(|line| line.strip_suffix('\n')?.parse().ok())
}

/// The port that a line names, if the line has come to its end.
fn port_in(line: &str) -> Option<u16> {
    let line = line.strip_suffix('\n')?;
    let (_, port) = PORT_FOLLOWS.iter().find_map(|words| line.rsplit_once(words))?;
    // 0 is what the driver was given, and not what it has chosen.
    port.trim_end_matches('.').parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where another screen had just ended, the warning of it hid the number for ever.
    #[test]
    fn finds_the_number_of_a_screen_among_warnings() {
        assert_eq!(number_in("_XSERVTransmkdir: in use\n12\n(EE) no keyboard\n"), Some(12));
        assert_eq!(number_in("_XSERVTransmkdir: in use\n1"), None, "half a line");
    }

    #[test]
    fn finds_the_port_in_what_drivers_say() {
        let chosen = [
            "ChromeDriver was started successfully on port 40123.\n",
            "1764439200000\tgeckodriver\tINFO\tListening on 127.0.0.1:40123\n",
        ];
        assert_eq!(chosen.map(port_in), [Some(40123); 2]);
        let first = "Starting ChromeDriver 156.0.8078.79 (a21ce95c) on port 0\n";
        assert_eq!(port_in(first), None);
        assert_eq!(
            port_in("ChromeDriver was started successfully on port 401"),
            None,
            "half a line"
        );
    }
}
