//! Puts archives of trampolines where the linker looks for NVIDIA's libraries (see `src/lib.rs`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "src/table.rs"]
mod table;

use table::{LIBRARIES, Library};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-check-cfg=cfg(quintet_trampolines)");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["CUDARC_CUDA_VERSION", "CUDA_HOME", "CUDA_PATH", "NVCC"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let version = cuda_version();
    println!("cargo:rustc-env=QUINTET_CUDA_VERSION={version}");
    if env::var("TARGET").as_deref() != Ok("x86_64-unknown-linux-gnu") {
        return;
    }
    println!("cargo:rustc-cfg=quintet_trampolines");
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let cudarc = source_of("cudarc");
    for library in &LIBRARIES {
        // What cudarc calls the module of its declarations.
        let module = if library.name == "cuda" { "driver" } else { library.name };
        let bindings = cudarc.join("src").join(module.to_lowercase()).join("sys/mod.rs");
        let source = fs::read_to_string(&bindings)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", bindings.display()));
        archive(library, version / 1000, &declared(&source), &output.join(library.name));
    }
    static_runtime(&output.join("cudart"));
}

/// 13000 for CUDA 13.0, as `cudarc` is told it or finds it.
fn cuda_version() -> u32 {
    if let Ok(version) = env::var("CUDARC_CUDA_VERSION") {
        return version.parse().expect("CUDARC_CUDA_VERSION is a number such as 13000");
    }
    let said = Command::new(nvcc()).arg("--version").output().unwrap_or_else(|error| {
        panic!(
            "`nvcc --version` cannot be run ({error}): the feature `cuda` needs the CUDA toolkit; put its bin \
             folder on PATH and set CUDA_HOME, or use `cargo xtask cuda build`"
        )
    });
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let release = said.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    release
        .and_then(|release| release.split_once('.'))
        .and_then(|(major, minor)| {
            Some(major.parse::<u32>().ok()? * 1000 + minor.parse::<u32>().ok()? * 10)
        })
        .unwrap_or_else(|| panic!("`nvcc --version` names no release: {said}"))
}

fn nvcc() -> PathBuf {
    env::var_os("NVCC").map_or_else(|| "nvcc".into(), PathBuf::from)
}

/// The folder of the sources of a package, wherever cargo has it.
fn source_of(package: &str) -> PathBuf {
    // Offline first: that asks no registry. A package of another member may never have been fetched.
    let metadata = metadata(&["--offline"]).or_else(|| metadata(&[]));
    let metadata = metadata.expect("`cargo metadata` failed: see its message above");
    let manifest = metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|path| {
            let folder = Path::new(path).parent().and_then(Path::file_name).unwrap_or_default();
            let folder = folder.to_string_lossy();
            folder == package || folder.starts_with(&format!("{package}-"))
        })
        .unwrap_or_else(|| panic!("`cargo metadata` knows no package {package}"));
    Path::new(manifest).parent().expect("a file is in a folder").to_owned()
}

fn metadata(more: &[&str]) -> Option<String> {
    // `shared` is who brings candle, and so cudarc, in; this crate alone would not see it.
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("shared/Cargo.toml");
    let output = Command::new(env::var_os("CARGO").expect("cargo sets it"))
        .args(["metadata", "--format-version=1", "--features=cuda", "--filter-platform"])
        .arg(env::var_os("TARGET").expect("cargo sets it"))
        .arg("--manifest-path")
        .arg(shared)
        .args(more)
        .output()
        .ok()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The functions that bindings declare. Beside each declaration they have a way to load it by name.
fn declared(bindings: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        bindings.split("load::<_F>(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(!names.is_empty(), "cudarc's bindings are not as they were: no function found");
    names
}

/// Compiles the trampolines of `functions` to `libNAME.a` in `folder` and has the linker look there.
///
/// Cargo puts folders of build scripts before all others, so that a toolkit's own libraries are not found first.
fn archive(library: &Library, cuda_major: u32, functions: &[&str], folder: &Path) {
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    let resolve = format!("quintet_resolve_{}", library.name);
    let assembly = folder.join("trampolines.S");
    fs::write(&assembly, trampolines(&resolve, functions)).expect("OUT_DIR can be written");
    cc::Build::new()
        .cargo_metadata(false)
        .out_dir(folder)
        .define("RESOLVE", &*resolve)
        .define("LIBRARY", &*format!("\"{}\"", library.file(cuda_major)))
        .file("src/first_call.c")
        .file(&assembly)
        .compile(library.name);
    println!("cargo:rustc-link-search=native={}", folder.display());
}

/// Each in sections of its own, so that the linker keeps only those that are called.
///
/// A trampoline jumps through its entry. At first that leads to the instructions behind it, which hand the entry to
/// `first_call`: it saves the registers that hold arguments, has `resolve` write the function's address into the entry,
/// and goes there. (System V ABI, x86-64: rdi, rsi, rdx, rcx, r8, r9, xmm0 to 7, al; r11 is free.)
fn trampolines(resolve: &str, functions: &[&str]) -> String {
    let integers = ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax"];
    let moves = |from_stack: bool| -> String {
        let mov = |instruction: &str, register: &str, at: usize| {
            if from_stack {
                format!("    {instruction} {at}(%rsp), %{register}\n")
            } else {
                format!("    {instruction} %{register}, {at}(%rsp)\n")
            }
        };
        let vectors = (0..8).map(|i| mov("movaps", &format!("xmm{i}"), 16 * i));
        let integers = integers.iter().enumerate().map(|(i, r)| mov("movq", r, 128 + 8 * i));
        vectors.chain(integers).collect()
    };
    // 128 bytes of vectors, 56 of integers, the entry at 184; with the return address the stack is at a multiple of 16.
    let mut text = format!(
        "    .section .text.first_call,\"ax\",@progbits\nfirst_call:\n    subq $200, %rsp\n    movq %r11, 184(%rsp)\n\
         {}    movq 184(%rsp), %rdi\n    call {resolve}\n    movq %rax, %r11\n{}    addq $200, %rsp\n    jmp *%r11\n",
        moves(false),
        moves(true),
    );
    for name in functions {
        text.push_str(&format!(
            "\n    .section .text.{name},\"ax\",@progbits\n    .globl {name}\n    .type {name}, @function\n{name}:\n    \
             jmp *.Lentry.{name}(%rip)\n.Lfirst.{name}:\n    leaq .Lentry.{name}(%rip), %r11\n    jmp first_call\n    \
             .size {name}, .-{name}\n    .section .data.{name},\"aw\",@progbits\n    .balign 8\n.Lentry.{name}:\n    \
             .quad .Lfirst.{name}, .Lname.{name}\n    .section .rodata.{name},\"a\",@progbits\n.Lname.{name}:\n    \
             .asciz \"{name}\"\n"
        ));
    }
    text + "\n    .section .note.GNU-stack,\"\",@progbits\n"
}

/// The toolkit's static runtime, under the name that `candle-kernels` asks for.
fn static_runtime(folder: &Path) {
    let toolkit = ["CUDA_HOME", "CUDA_PATH"].iter().find_map(env::var_os).map(PathBuf::from);
    let toolkit = toolkit.unwrap_or_else(|| "/usr/local/cuda".into());
    let archive = ["lib64", "lib", "targets/x86_64-linux/lib"]
        .map(|folder| toolkit.join(folder).join("libcudart_static.a"))
        .into_iter()
        .find(|archive| archive.is_file());
    let Some(archive) = archive else {
        println!(
            "cargo:warning=no libcudart_static.a in {}: the program will need libcudart.so where it runs \
             (CUDA_HOME names the toolkit)",
            toolkit.display()
        );
        return;
    };
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    fs::copy(&archive, folder.join("libcudart.a")).expect("OUT_DIR can be written");
    println!("cargo:rustc-link-search=native={}", folder.display());
}
