//! Puts archives of trampolines where the linker looks for NVIDIA's libraries (see `src/lib.rs`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "src/table.rs"]
mod table;
#[path = "src/trampolines.rs"]
mod trampolines;

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
        // The name of cudarc's module with the declarations.
        let module = if library.name == "cuda" { "driver" } else { library.name };
        let bindings = cudarc.join("src").join(module.to_lowercase()).join("sys/mod.rs");
        let source = fs::read_to_string(&bindings)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", bindings.display()));
        archive(library, version / 1000, &declared(&source), &output.join(library.name));
    }
    static_runtime(&output.join("cudart"));
    without_quantised(&output.join("moe"));
}

/// Returns the version of CUDA for which `cudarc` is built, such as 13000 for CUDA 13.0.
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

/// Returns the folder with the sources of a package.
fn source_of(package: &str) -> PathBuf {
    // Offline first, which asks no registry; a package of another member may never have been fetched.
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
    // cudarc is a dependency of candle, and that of `shared`; this crate's own metadata does not have it.
    // Where this crate is now: in a shared target folder, this script may have been compiled in another clone.
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let shared = here.with_file_name("Cargo.toml");
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

/// Returns the functions that bindings declare. Each declaration comes with a way to load it by name.
fn declared(bindings: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        bindings.split("load::<_F>(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(!names.is_empty(), "no function found in cudarc's bindings: their form has changed");
    names
}

/// Compiles the trampolines of `functions` to `libNAME.a` in `folder`, where the linker looks first: Cargo puts the
/// folders of build scripts before all others, so before a toolkit's.
fn archive(library: &Library, cuda_major: u32, functions: &[&str], folder: &Path) {
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    let resolve = format!("quintet_resolve_{}", library.name);
    let assembly = folder.join("trampolines.S");
    fs::write(&assembly, trampolines::assembly(&resolve, functions))
        .expect("OUT_DIR can be written");
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

/// Copies the toolkit's static runtime, under the name that `candle-kernels` asks for.
fn static_runtime(folder: &Path) {
    let toolkit = ["CUDA_HOME", "CUDA_PATH"].iter().find_map(env::var_os).map(PathBuf::from);
    let toolkit = toolkit.unwrap_or_else(|| "/usr/local/cuda".into());
    let archive = ["lib64", "lib", "targets/x86_64-linux/lib"]
        .map(|folder| toolkit.join(folder).join("libcudart_static.a"))
        .into_iter()
        .find(|archive| archive.is_file());
    let Some(archive) = archive else {
        println!(
            "cargo:warning=no libcudart_static.a in {}: the program will need libcudart.so where it runs (set \
             CUDA_HOME to the toolkit's folder)",
            toolkit.display()
        );
        return;
    };
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    fs::copy(&archive, folder.join("libcudart.a")).expect("OUT_DIR can be written");
    println!("cargo:rustc-link-search=native={}", folder.display());
}

/// Writes an empty archive in place of candle's kernels for quantised models.
///
/// They are never called, but the linker would keep all 30 MB, as they register with the runtime when a program starts.
/// Cargo passes the folders of build scripts in the order of their packages' names. The real archive is in that of
/// `candle-kernels`, so the name of this package comes before it. In another order programs would only be larger.
fn without_quantised(folder: &Path) {
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    fs::write(folder.join("libmoe.a"), "!<arch>\n").expect("OUT_DIR can be written");
    println!("cargo:rustc-link-search=native={}", folder.display());
}
