//! `cargo xtask cuda kernels`: every kernel compiled for the cards it is meant for, what it takes of them, and for which
//! cards the compiled file has machine code.
//!
//! A kernel that spills keeps in memory what does not fit into registers, which is what it was written to avoid; so that
//! is an error. No GPU is needed to find out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::Toolkit;
use super::fatbin::{self, Code};
use crate::shell::Shell;
use crate::workspace::Workspace;

const SOURCES: &str = "shared/src/kernels/cuda";

/// The arguments with which `shared`'s build script has nvcc compile, one a line.
const NVCC: &str = include_str!("../../../shared/src/kernels/cuda/nvcc.txt");

/// The code that each kernel must have: machine code for the cards that are used most, so that their drivers have
/// nothing to compile, and PTX for those to come.
const CODE: [Code; 3] = [Code::Machine(80), Code::Machine(90), Code::Ptx(90)];

#[derive(clap::Args)]
pub struct Arguments {
    /// The cards to compile for [default: those that the program is built for].
    #[arg(long, value_name = "SM", value_delimiter = ',')]
    sm: Vec<u32>,

    /// Sources to compile instead of those of `shared`.
    #[arg(value_name = "FILE.cu")]
    files: Vec<PathBuf>,
}

/// The registers and memory of one kernel, by ptxas.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Usage {
    kernel: String,
    /// The card that it was compiled for.
    sm: u32,
    registers: u32,
    /// Bytes a block has fixed; what is asked for at launch comes on top.
    shared: u32,
    stack: u32,
    spill_stores: u32,
    spill_loads: u32,
}

/// All of them, for all cards they are meant for.
pub fn check(workspace: &Workspace) -> Result<()> {
    run(workspace, &Arguments { sm: Vec::new(), files: Vec::new() })
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let toolkit = Toolkit::find_or_fetch(workspace)?;
    let shell = toolkit.shell(workspace);
    let files = if arguments.files.is_empty() {
        sources(&workspace.root.join(SOURCES))?
    } else {
        arguments.files.clone()
    };
    let output = workspace.target.join("cuda-kernels");
    fs::create_dir_all(&output)?;
    println!(
        "{:<44} {:>5} {:>9} {:>7} {:>6} {:>7}",
        "kernel", "sm", "registers", "shared", "stack", "spilled"
    );
    let (mut kernels, mut spilling, mut held) = (0, Vec::new(), Vec::new());
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let fatbin = output.join(format!("{name}.fatbin"));
        let said = compile(&mut nvcc(&shell, file, &arguments.sm, &fatbin))?;
        for usage in usages(&demangled(&shell, &said)) {
            let Usage { kernel, sm, registers, shared, stack, .. } = &usage;
            let spilled = usage.spill_stores + usage.spill_loads;
            println!("{kernel:<44} {sm:>5} {registers:>9} {shared:>7} {stack:>6} {spilled:>7}");
            if spilled > 0 {
                spilling.push(format!("{kernel} (sm_{sm}, {spilled} bytes)"));
            }
            kernels += 1;
        }
        let bytes = fs::read(&fatbin)?;
        let codes = fatbin::contents(&bytes)
            .with_context(|| format!("cannot read {}", fatbin.display()))?;
        let listed: Vec<String> = codes.iter().map(Code::to_string).collect();
        held.push(format!("{name:<44} {:>8} bytes: {}", bytes.len(), listed.join(", ")));
        if arguments.sm.is_empty()
            && let Some(lacking) = CODE.iter().find(|code| !codes.contains(code))
        {
            bail!("{} has no code for {lacking}; see {SOURCES}/nvcc.txt", file.display());
        }
    }
    println!("\n{}\n", held.join("\n"));
    ensure!(kernels > 0, "no kernel found in {SOURCES}");
    ensure!(
        spilling.is_empty(),
        "kernels that spill registers: {}; lessen what they hold, or their threads (`__launch_bounds__`)",
        spilling.join(", ")
    );
    println!("{} sources, none of {kernels} kernels spills", files.len());
    Ok(())
}

/// The `.cu` files of `folder`, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// As `shared`'s build script compiles them, or for other cards.
fn nvcc(shell: &Shell, file: &Path, cards: &[u32], fatbin: &Path) -> Command {
    let mut command = shell.command("nvcc");
    command.args(["-fatbin", "-Xptxas", "-v"]);
    let (codes, others): (Vec<&str>, _) =
        NVCC.lines().partition(|argument| argument.starts_with("-gencode"));
    command.args(others);
    match cards {
        [] => command.args(codes),
        _ => command
            .args(cards.iter().map(|card| format!("-gencode=arch=compute_{card},code=sm_{card}"))),
    };
    command.arg("-o").arg(fatbin).arg(file);
    command
}

/// The compiler's report on a file.
fn compile(command: &mut Command) -> Result<String> {
    let output = command.output().context("nvcc cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let file = command.get_args().last().unwrap_or_default();
        bail!("nvcc does not compile {}:\n{said}", file.display());
    }
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
    for warning in warnings {
        eprintln!("{warning}");
    }
    Ok(said)
}

/// With the names of C++ templates as one writes them, where binutils are there.
fn demangled(shell: &Shell, said: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = shell.command("c++filt");
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut filter) = started else { return said.to_owned() };
    let mut input = filter.stdin.take().expect("it is piped");
    let text = said.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = filter.wait_with_output();
    let written = writer.join().is_ok_and(|written| written.is_ok());
    match output {
        Ok(output) if written && output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => said.to_owned(),
    }
}

/// Reads what `ptxas -v` prints: a line with a kernel's name, one with its stack and spills, one with its registers.
fn usages(said: &str) -> Vec<Usage> {
    let mut usages: Vec<Usage> = Vec::new();
    for line in said.lines() {
        if let Some(rest) = line.split_once("Compiling entry function '").map(|(_, rest)| rest) {
            let (kernel, card) = rest.rsplit_once("' for '").unwrap_or((rest, ""));
            let sm = card.trim_end_matches('\'').trim_start_matches("sm_");
            usages.push(Usage {
                kernel: short(kernel),
                sm: sm.parse().unwrap_or(0),
                registers: 0,
                shared: 0,
                stack: 0,
                spill_stores: 0,
                spill_loads: 0,
            });
        } else if let Some(usage) = usages.last_mut() {
            let before = |what| number_before(line, what);
            if line.contains("bytes stack frame") {
                // There is such a line for each function that was not inlined as well.
                usage.stack = usage.stack.max(before(" bytes stack frame"));
                usage.spill_stores += before(" bytes spill stores");
                usage.spill_loads += before(" bytes spill loads");
            } else if line.contains("registers") {
                usage.registers = before(" registers");
                usage.shared = before(" bytes smem");
            }
        }
    }
    usages
}

/// A template's name without the types of its parameters.
fn short(kernel: &str) -> String {
    let without_parameters = kernel.split_once('(').map_or(kernel, |(name, _)| name);
    without_parameters.trim_start_matches("void ").to_owned()
}

fn number_before(line: &str, what: &str) -> u32 {
    let Some((before, _)) = line.split_once(what) else { return 0 };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_shared_memory_and_spills_are_read() {
        let said = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'plain' for 'sm_80'
ptxas info    : Function properties for plain
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 23 registers, used 1 barriers, 1024 bytes smem, 376 bytes cmem[0]
ptxas info    : Compile time = 2.000 ms
ptxas info    : Compiling entry function 'void wide<float, 4>(float const*, int)' for 'sm_90'
ptxas info    : Function properties for void wide<float, 4>(float const*, int)
    104 bytes stack frame, 88 bytes spill stores, 92 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 104 bytes cumulative stack size
";
        let [plain, wide] = usages(said).try_into().expect("two kernels");
        let expected = Usage {
            kernel: "plain".to_owned(),
            sm: 80,
            registers: 23,
            shared: 1024,
            stack: 0,
            spill_stores: 0,
            spill_loads: 0,
        };
        assert_eq!(plain, expected);
        assert_eq!(wide.kernel, "wide<float, 4>");
        assert_eq!(wide.sm, 90);
        assert_eq!((wide.registers, wide.shared, wide.stack), (32, 0, 104));
        assert_eq!((wide.spill_stores, wide.spill_loads), (88, 92));
    }
}
