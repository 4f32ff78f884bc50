//! A folder with data to train on, the program run in it, and what it leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

const ROWS: usize = 72;

/// Three folds, two epochs, four steps each: a second or two in all.
const SETTINGS: &str = "--model mini --train-csv train.csv --test-csv test.csv --folds 3 \
                        --epochs 2 --batch-size 12 --max-len 16 --threads 1";

/// A working folder with `train.csv` and `test.csv`; the run goes to `run` in it, always by that
/// name, so that the saved settings are the same everywhere.
pub struct Place(TempDir);

/// The exit code of the program and its output.
#[derive(Debug)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub stderr: String,
}

/// The files of a folder by their path in it, as far as two runs of one training have them alike.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// A training with the settings of all these tests.
pub fn train_arguments() -> String {
    format!("train --output run {SETTINGS}")
}

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let lines = demo_lines();
        let (header, rows) = lines.split_first().unwrap();
        place.write("train.csv", &csv(header, &rows[..ROWS]));
        place.write("test.csv", &csv(header, &rows[ROWS..ROWS + 10]));
        place
    }

    /// A place with a run that was not interrupted.
    pub fn with_a_finished_run() -> Self {
        let place = Self::new();
        copy_folder(&undisturbed().path("run"), &place.path("run"));
        place
    }

    /// A place with a run that was killed when `is_time`.
    pub fn with_a_run_killed_when(is_time: impl Fn(&Place) -> bool) -> Self {
        let place = Self::new();
        assert!(place.kill_when(place.train(""), is_time), "it ended before it could be killed");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Changes a file's text.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "`{from}` is in {name}");
        self.write(name, &text.replacen(from, to, 1));
    }

    pub fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-train"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// `train` with the settings of all these tests, and more.
    pub fn train(&self, more: &str) -> Command {
        self.program(&format!("{} {more}", train_arguments()))
    }

    /// `train --resume` with no settings but those saved.
    pub fn resume(&self) -> Command {
        self.program("train --output run --resume")
    }

    /// Kills the program with SIGKILL as soon as it is time; false if it ended before.
    pub fn kill_when(&self, mut command: Command, is_time: impl Fn(&Place) -> bool) -> bool {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let reached = wait_until(&mut child, || is_time(self));
        child.kill().unwrap();
        child.wait().unwrap();
        reached
    }

    /// Goes on to the end; that is to be the end of a run that nothing happened to.
    pub fn must_end_in_the_same_bits(&self, after: &str) {
        let ended = end(self.train("--resume"));
        assert_eq!(ended.code, Some(0), "{after}: {}", ended.stderr);
        assert_same(&contents(&undisturbed().path("run")), &contents(&self.path("run")), after);
    }
}

impl Ended {
    /// Ended with this code and these words, and not by a panic.
    #[track_caller]
    pub fn must_say(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for words in words {
            assert!(self.stderr.contains(words), "`{words}` is not in: {}", self.stderr);
        }
    }
}

/// The run that nothing happened to, trained once for all tests.
pub fn undisturbed() -> &'static Place {
    static UNDISTURBED: OnceLock<Place> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let place = Place::new();
        let ended = end(place.train(""));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        place
    })
}

pub fn end(mut command: Command) -> Ended {
    ended(&command.output().unwrap())
}

pub fn ended(output: &Output) -> Ended {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ended { code: output.status.code(), stderr }
}

/// False if the child ended before.
pub fn wait_until(child: &mut Child, reached: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !reached() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "it never came to that");
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

pub fn contents(folder: &Path) -> Contents {
    let mut contents = Contents::new();
    for path in files(folder) {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        if name == "summary.json" {
            bytes = without_measurements(&bytes);
        }
        if name == "report.html" {
            let measured = bytes.windows(10).position(|window| window == b"id=\"times\"");
            bytes.truncate(measured.expect("a section with times"));
        }
        contents.insert(name, bytes);
    }
    contents
}

/// The times of all files' last changes, with all their bytes; without the leases, which come and go.
pub fn traces(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    files(folder)
        .into_iter()
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with(".lease-"))
        .map(|path| {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            let bytes = fs::read(&path).unwrap();
            (path, (changed, bytes))
        })
        .collect()
}

#[track_caller]
pub fn assert_same(expected: &Contents, found: &Contents, after: &str) {
    let names = |contents: &Contents| contents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{after}");
    for (name, bytes) in expected {
        assert!(bytes == &found[name], "{after}: `{name}` differs");
    }
}

/// summary.json without what the clock and the system said: those differ between any two runs.
fn without_measurements(json: &[u8]) -> Vec<u8> {
    let mut summary: Value = serde_json::from_slice(json).unwrap();
    for measured in ["seconds", "peak_memory_bytes"] {
        assert!(summary.as_object_mut().unwrap().remove(measured).is_some(), "{measured}");
    }
    summary.to_string().into_bytes()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

pub fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

/// The demo's rows, which stand on one line each; the first line is the header.
pub fn demo_lines() -> Vec<String> {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo.csv");
    fs::read_to_string(demo).unwrap().lines().map(str::to_owned).collect()
}

pub fn csv(header: &str, rows: &[String]) -> String {
    std::iter::once(header)
        .chain(rows.iter().map(String::as_str))
        .map(|l| format!("{l}\n"))
        .collect()
}
