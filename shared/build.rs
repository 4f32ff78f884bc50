//! Builds the CUDA kernels of `src/kernels/cuda`: with the feature `cuda` to machine code that the library
//! embeds, with `cuda-emulator` as C++ that runs them on the CPU. Without these features it builds nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "src/kernels/cuda";
const KERNELS: [&str; 8] =
    ["add_norm", "attention", "elementwise", "gelu", "linear", "loss", "optimizer", "rows"];

/// Arguments of nvcc, one a line. `cargo xtask cuda kernels` compiles with the same.
const NVCC: &str = include_str!("src/kernels/cuda/nvcc.txt");

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_COMPUTE_CAP"] {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        let output = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
        let nvcc = nvcc();
        let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
        let arguments = arguments(&capability.replace('.', ""));
        println!("cargo::rustc-env=QUINTET_MACHINE_CODE={}", machine_code(&arguments));
        std::thread::scope(|scope| {
            for kernel in KERNELS {
                let (nvcc, arguments, output) = (&nvcc, &arguments, &output);
                scope.spawn(move || compile_for_card(nvcc, kernel, arguments, output));
            }
        });
    }
    #[cfg(feature = "cuda-emulator")]
    compile_emulator();
}

/// Returns the compiler of the toolkit that the environment names, or else the one on the path.
fn nvcc() -> PathBuf {
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    let named = toolkits.map(|toolkit| Path::new(&toolkit).join("bin/nvcc"));
    named.into_iter().find(|nvcc| nvcc.is_file()).unwrap_or_else(|| "nvcc".into())
}

/// Returns the arguments of `nvcc.txt`, and the card that `CUDA_COMPUTE_CAP` names beside its cards.
fn arguments(capability: &str) -> Vec<String> {
    let mut arguments: Vec<String> = NVCC.lines().map(str::to_owned).collect();
    if !NVCC.contains(&format!("sm_{capability}")) {
        // With PTX: whichever cards lie between it and the next one have no machine code of their own.
        let code = format!("code=[sm_{capability},compute_{capability}]");
        arguments.push(format!("-gencode=arch=compute_{capability},{code}"));
    }
    arguments
}

/// Returns what the kernels are compiled to, as `sm_80, sm_90, compute_90`.
fn machine_code(arguments: &[String]) -> String {
    let codes = arguments.iter().filter_map(|argument| {
        argument.split_once("code=sm_").or_else(|| argument.split_once("code=[sm_"))
    });
    let codes =
        codes.map(|(_, code)| format!("sm_{}", code.trim_end_matches(']').replace(',', ", ")));
    codes.collect::<Vec<_>>().join(", ")
}

/// Compiles to machine code for the cards that `nvcc.txt` names, and to PTX, which the driver of a later card
/// translates when the kernels are loaded.
fn compile_for_card(nvcc: &Path, kernel: &str, arguments: &[String], output: &Path) {
    let mut command = Command::new(nvcc);
    command
        .arg("-fatbin")
        .args(arguments)
        .arg("-o")
        .arg(output.join(format!("{kernel}.fatbin")))
        .arg(format!("{FOLDER}/{kernel}.cu"));
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{command:?} failed: {status}"),
        Err(error) => panic!(
            "cannot run {}: {error}\nhint: the feature `cuda` needs the CUDA toolkit (12.0 or \
             later): set CUDA_HOME to its folder, or put its bin on the PATH",
            nvcc.display()
        ),
    }
}

#[cfg(feature = "cuda-emulator")]
fn compile_emulator() {
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        // A fused multiply-add would round differently from the functions it is compared with.
        .flag("-ffp-contract=off")
        // Vectors are loaded as words.
        .flag("-fno-strict-aliasing")
        // The emulator switches threads by longjmp, which fortified libraries take for an error.
        .flag("-U_FORTIFY_SOURCE")
        .flag("-Wno-unknown-pragmas")
        .file(format!("{FOLDER}/emulator/emulator.cpp"))
        .compile("quintet_cuda_emulator");
}
