//! Tells the linker what is left out of a build with CUDA (see `cuda-libraries`).

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(folder) = env::var_os("DEP_QUINTET_CUDA_WITHOUT_MOE") {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
}
