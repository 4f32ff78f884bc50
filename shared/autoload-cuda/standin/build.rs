//! Compiles the stand-in to one shared object, which has all the libraries' functions: `driver/`, and the sources of
//! the CUDA kernels as the emulator has them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const DRIVER: &str = "driver";
const EMULATOR: &str = "../../src/kernels/cuda/emulator/emulator.cpp";

const FLAGS: [&str; 7] = [
    "-std=c++17",
    "-O2",
    "-fPIC",
    // As `shared` compiles the emulator.
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-U_FORTIFY_SOURCE",
    "-Wno-unknown-pragmas",
];

fn main() {
    println!("cargo::rerun-if-changed={DRIVER}");
    println!("cargo::rerun-if-changed=../../src/kernels/cuda");
    if env::var_os("CARGO_FEATURE_LIBRARIES").is_none() {
        return;
    }
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let (kernels, library) = (output.join("kernels.o"), output.join("libquintet_standin.so"));
    std::thread::scope(|scope| {
        // Each of the kernels' accesses to memory calls a function of the stand-in. NVIDIA has no such library to link.
        let mut watched = compiler();
        watched.args(FLAGS).args(["-fsanitize=thread", "-c", EMULATOR, "-o"]).arg(&kernels);
        scope.spawn(move || run(watched));
        for source in SOURCES {
            let mut command = compiler();
            command.args(FLAGS).arg("-c").arg(Path::new(DRIVER).join(source).with_extension("cpp"));
            command.arg("-o").arg(object(&output, source));
            scope.spawn(move || run(command));
        }
    });
    let mut link = compiler();
    link.args(["-shared", "-o"]).arg(&library).arg(&kernels);
    run(with_objects(link, &output));
    println!("cargo::rustc-env=QUINTET_STANDIN={}", library.display());
}

const SOURCES: [&str; 8] =
    ["candle", "card", "driver", "launch", "options", "products", "report", "watch"];

fn object(output: &Path, source: &str) -> PathBuf {
    output.join(source).with_extension("o")
}

fn with_objects(mut link: Command, output: &Path) -> Command {
    link.args(SOURCES.map(|source| object(output, source)));
    link
}

fn compiler() -> Command {
    cc::Build::new().cpp(true).get_compiler().to_command()
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{command:?} failed: {status}"),
        Err(error) => panic!("cannot run {command:?}: {error}: the stand-in needs a C++ compiler"),
    }
}
