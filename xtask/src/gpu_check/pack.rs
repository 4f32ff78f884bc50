//! Gathering what runs on the GPU machine into one folder, and that into one file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use super::plan::Plan;
use crate::bench::machine;
use crate::cuda::{self, Toolkit};
use crate::shell::{self, Shell};
use crate::workspace::Workspace;

const README: &str = include_str!("README.txt");

/// The script that is started there.
pub const SCRIPT: &str = "run";
pub const PLAN: &str = "pack.json";
pub const TEXTS: &str = "data/train.csv";
pub const TEST_TEXTS: &str = "data/test.csv";
pub const TOKENIZER: &str = "tokenizer";
/// Python packages that the rival needs and the machine lacks.
pub const PACKAGES: &str = "rival/packages";

const COMPETITION: &str = "data/kaggle-2025-sep-dl-genai";
const RIVAL: &str = "peer/gpu/hf_train.py";
const OUR_SCRIPTS: [&str; 2] = ["gpu_rival.py", "gpu_trajectory.py"];
const TOKENIZER_FILES: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/// Fused attention for the rival, the fastest that is known for it; pip's own format.
const FLASH: &str = include_str!("flash.txt");

/// The most bytes of the one file: what some machines take over.
const MOST_BYTES: u64 = 60 << 20;

/// As xz compresses: the programs have much in common, which it finds only in so large a window.
const XZ: &str = "--lzma2=preset=6,dict=128MiB";

/// Rows of a rehearsal.
const FEW_ROWS: usize = 480;
const FEW_TEST_ROWS: usize = 40;

const START: &str = "#!/bin/sh
# README.txt says what this does.
here=$(cd \"$(dirname \"$0\")\" && pwd)
exec \"$here/bin/xtask\" gpu-run --folder \"$here\" \"$@\"
";

pub struct Packed {
    pub bytes: u64,
    pub file: PathBuf,
    pub file_bytes: u64,
}

/// Builds and packs into `folder`, which is made anew.
///
/// # Errors
/// If something does not build, or the shared folder lacks the texts or the rival.
pub fn pack(workspace: &Workspace, folder: &Path, rehearsal: bool) -> Result<Packed> {
    let shared = workspace.shared_data();
    for needed in [COMPETITION, RIVAL, "tokenizer"] {
        let path = shared.join(needed);
        ensure!(
            path.exists(),
            "no {} (QUINTET_SHARED names the folder of shared data)",
            path.display()
        );
    }
    let built = Built::build(workspace, rehearsal)?;
    if folder.exists() {
        // Only what an earlier packing has made, as whatever else is there may be dear to someone.
        ensure!(folder.join(PLAN).is_file(), "{} holds something else", folder.display());
        fs::remove_dir_all(folder)?;
    }
    for made in ["bin", "tests", "data", TOKENIZER, PACKAGES] {
        let made = folder.join(made);
        fs::create_dir_all(&made)?;
    }
    let shell = Shell::new(workspace);
    for (program, name) in &built.programs {
        strip(&shell, program, &folder.join("bin").join(name))?;
    }
    let tests = pack_tests(&shell, &built.tests, &folder.join("tests"), rehearsal)?;
    let rows = pack_texts(&shared, folder, rehearsal)?;
    for file in TOKENIZER_FILES {
        copy(&shared.join("tokenizer").join(file), &folder.join(TOKENIZER).join(file))?;
    }
    copy(&shared.join(RIVAL), &folder.join("rival/hf_train.py"))?;
    for script in OUR_SCRIPTS {
        copy(&workspace.root.join("bench").join(script), &folder.join("rival").join(script))?;
    }
    pack_flash(&shell, folder);
    let job_arguments = job_arguments(&shell, &folder.join("bin/native-train"));
    let plan = plan(machine::commit(&shell), rehearsal, rows, tests, job_arguments);
    write(&folder.join(PLAN), &plan.to_json())?;
    write(&folder.join("README.txt"), README)?;
    write_script(&folder.join(SCRIPT))?;
    into_one_file(&shell, folder)
}

fn plan(
    commit: String,
    rehearsal: bool,
    rows: usize,
    tests: Vec<String>,
    job_arguments: Vec<String>,
) -> Plan {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let full = Plan {
        commit,
        geometry: "base".to_owned(),
        device: "cuda".to_owned(),
        rehearsal: false,
        precisions: words(&["bf16", "f16"]),
        trajectory_steps: 20,
        curve_steps: 60,
        rival_steps: 100,
        job_epochs: 4,
        rows,
        batch_size: 16,
        job_arguments,
        tests,
        test_filter: "cuda".to_owned(),
    };
    if !rehearsal {
        return full;
    }
    Plan {
        geometry: "tiny".to_owned(),
        device: "cpu".to_owned(),
        rehearsal: true,
        precisions: words(&["f32", "bf16"]),
        curve_steps: 20,
        rival_steps: 10,
        job_epochs: 1,
        ..full
    }
}

/// The programs that cargo made.
struct Built {
    /// Each with its name in the packed folder.
    programs: Vec<(PathBuf, &'static str)>,
    tests: Vec<PathBuf>,
}

impl Built {
    /// The programs, and the tests of libraries alone: to link all others takes long. Each time the whole workspace, as
    /// another choice of packages would be another choice of features. A rehearsal takes the build of `cargo xtask test`, in
    /// which kernels are emulated: what it tries is all around them.
    fn build(workspace: &Workspace, rehearsal: bool) -> Result<Self> {
        let toolkit = (!rehearsal).then(|| Toolkit::find_or_fetch(workspace)).transpose()?;
        let mut messages = String::new();
        for (subcommand, targets) in
            [("build", &["--bins", "--bench", "gpu"][..]), ("test", &["--lib", "--no-run"])]
        {
            let mut command = match &toolkit {
                None => Shell::new(workspace).cargo(subcommand),
                Some(toolkit) => {
                    let mut command = toolkit.shell(workspace).cargo(subcommand);
                    toolkit.pass_to(workspace, &mut command)?;
                    command
                }
            };
            command.arg("--workspace").args(targets);
            command.args(["--features", if rehearsal { cuda::EMULATOR } else { cuda::FEATURE }]);
            command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
            eprintln!("gpu-check: building");
            let output = command.output().context("cannot start cargo")?;
            ensure!(output.status.success(), "the workspace does not build: see above");
            messages += &String::from_utf8_lossy(&output.stdout);
        }
        Self::among(messages.lines().filter_map(|line| serde_json::from_str(line).ok()))
    }

    fn among(messages: impl Iterator<Item = Value>) -> Result<Self> {
        let mut built = Self { programs: Vec::new(), tests: Vec::new() };
        for message in messages {
            let Some(executable) = message["executable"].as_str().map(PathBuf::from) else {
                continue;
            };
            let (kind, name) = (&message["target"]["kind"][0], &message["target"]["name"]);
            match (kind.as_str(), name.as_str(), message["profile"]["test"].as_bool()) {
                (Some("bin"), Some("native-train"), Some(false)) => {
                    built.programs.push((executable, "native-train"));
                }
                (Some("bin"), Some("xtask"), Some(false)) => {
                    built.programs.push((executable, "xtask"));
                }
                (Some("bench"), Some("gpu"), _) => built.programs.push((executable, "bench-gpu")),
                // Those of the kernels. The others that need a card are tried by the parts themselves.
                (Some("lib"), Some("shared"), Some(true)) => built.tests.push(executable),
                _ => {}
            }
        }
        built.tests.sort();
        ensure!(built.programs.len() == 3, "cargo names other programs: {:?}", built.programs);
        Ok(built)
    }
}

/// Those that have tests for a GPU, or of emulated kernels in a rehearsal; their names in the packed folder.
fn pack_tests(
    shell: &Shell,
    tests: &[PathBuf],
    folder: &Path,
    rehearsal: bool,
) -> Result<Vec<String>> {
    let mut packed = Vec::new();
    for test in tests {
        let mut list = shell.command(test);
        list.args(["cuda", "--list", "--format=terse"]);
        if !rehearsal {
            list.arg("--ignored");
        }
        let listed = shell::answer(&mut list).unwrap_or_default();
        let count = listed.lines().filter(|line| line.ends_with(": test")).count();
        if count > 0 {
            let name = test.file_name().unwrap_or_default().to_string_lossy().into_owned();
            eprintln!("gpu-check: {count} tests that need CUDA in {name}");
            strip(shell, test, &folder.join(&name))?;
            packed.push(name);
        }
    }
    ensure!(!packed.is_empty(), "no program has tests for a GPU");
    Ok(packed)
}

/// The number of rows to train on.
fn pack_texts(shared: &Path, folder: &Path, rehearsal: bool) -> Result<usize> {
    let mut counts = [0, 0];
    let files = [("train.csv", TEXTS, FEW_ROWS), ("test.csv", TEST_TEXTS, FEW_TEST_ROWS)];
    for (count, (from, to, few)) in counts.iter_mut().zip(files) {
        let path = shared.join(COMPETITION).join(from);
        let text = fs::read_to_string(&path)?;
        let records = first_records(&text, if rehearsal { few } else { usize::MAX });
        *count = records.1;
        write(&folder.join(to), records.0)?;
    }
    Ok(counts[0])
}

/// The header and the first `most` records of a CSV, and how many these are. A quoted line break ends none.
fn first_records(csv: &str, most: usize) -> (&str, usize) {
    let (mut quoted, mut lines, mut end) = (false, 0, 0);
    for (place, byte) in csv.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                lines += 1;
                end = place + 1;
                if lines > most {
                    break;
                }
            }
            _ => {}
        }
    }
    if end < csv.len() && lines <= most {
        (end, lines) = (csv.len(), lines + 1); // the last line has no end
    }
    (&csv[..end], lines.saturating_sub(1))
}

/// The rival does without where it cannot be fetched.
fn pack_flash(shell: &Shell, folder: &Path) {
    if let Err(error) = fetch_flash(shell, folder) {
        eprintln!("gpu-check: the rival goes without its fused attention (flash): {error:#}");
    }
}

fn fetch_flash(shell: &Shell, folder: &Path) -> Result<()> {
    let packages = folder.join(PACKAGES);
    let list = packages.join("packages.txt");
    write(&list, FLASH)?;
    let mut pip = shell.command(cuda::python(shell)?);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--require-hashes", "--only-binary=:all:", "--no-compile", "--target"])
        .arg(&packages);
    shell::run(pip.arg("--requirement").arg(&list), "pip fetches from https://pypi.org")
}

/// The flags that `native-train train` of this build offers for the whole job.
fn job_arguments(shell: &Shell, program: &Path) -> Vec<String> {
    let help = shell::answer(shell.command(program).args(["train", "--help"])).unwrap_or_default();
    let wanted = ["--parallel-folds=auto"];
    let known = |argument: &&str| {
        argument.split('=').next().is_some_and(|flag| help.contains(&format!("{flag} ")))
    };
    wanted.into_iter().filter(known).map(str::to_owned).collect()
}

/// Copies a program without what only a debugger reads, where binutils are there.
fn strip(shell: &Shell, from: &Path, to: &Path) -> Result<()> {
    if shell::answer(shell.command("strip").arg("-o").arg(to).arg(from)).is_some() {
        return Ok(());
    }
    copy(from, to)
}

fn into_one_file(shell: &Shell, folder: &Path) -> Result<Packed> {
    let name = folder.file_name().context("the folder has a name")?;
    let file = folder.with_file_name(format!("{}.tar.xz", name.display()));
    let mut tar = shell.command("tar");
    tar.arg("-cJf").arg(&file).arg("-C").arg(folder.with_file_name(".")).arg(name);
    tar.env("XZ_OPT", XZ);
    shell::run(&mut tar, "tar and xz make it; the folder is whole, only the one file is missing")?;
    let file_bytes = fs::metadata(&file)?.len();
    ensure!(
        file_bytes <= MOST_BYTES,
        "{} has {file_bytes} bytes, and {MOST_BYTES} at most can be carried: pack less",
        file.display()
    );
    Ok(Packed { bytes: size(folder)?, file, file_bytes })
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

fn write_script(path: &Path) -> Result<()> {
    write(path, START)?;
    #[cfg(unix)]
    {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Copies with the rights of a new file: what is shared may be read-only.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from)?;
    fs::write(to, bytes)?;
    #[cfg(unix)]
    {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let executable = fs::metadata(from)?.permissions().mode() & 0o111;
        let mode = fs::metadata(to)?.permissions().mode() | executable;
        fs::set_permissions(to, Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_counted_whatever_their_lines() {
        let csv = "id,text\n1,\"two\nlines\"\n2,\"a \"\"b\"\"\"\n3,c";
        assert_eq!(first_records(csv, 1), ("id,text\n1,\"two\nlines\"\n", 1));
        assert_eq!(first_records(csv, 2), (&csv[..csv.len() - 3], 2));
        assert_eq!(first_records(csv, 9), (csv, 3));
        assert_eq!(first_records("id\n", 9), ("id\n", 0));
    }

    #[test]
    fn programs_and_tests_are_told_apart() {
        let message = |kind: &str, name: &str, test: bool| {
            json!({"target": {"kind": [kind], "name": name}, "profile": {"test": test},
                   "executable": format!("/{kind}/{name}-{test}")})
        };
        let library = json!({"target": {"kind": ["lib"], "name": "shared"}, "executable": null});
        let messages = [
            library,
            message("bin", "xtask", false),
            message("bin", "native-train", false),
            message("bin", "native-train", true),
            message("bin", "app", false),
            message("bench", "gpu", false),
            message("lib", "shared", true),
            message("lib", "native_train", true),
            message("test", "cli", true),
        ];
        let built = Built::among(messages.into_iter()).expect("all is there");
        let names: Vec<&str> = built.programs.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["xtask", "native-train", "bench-gpu"]);
        assert_eq!(built.tests, ["/lib/shared-true"].map(PathBuf::from));
        assert!(Built::among(std::iter::empty()).is_err());
    }
}
