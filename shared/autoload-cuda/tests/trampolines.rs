//! Trampolines to a library that the test makes: arguments arrive on the first call and on later ones, and a missing
//! library is named.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../src/trampolines.rs"]
mod trampolines;

/// A function with more arguments of both kinds than registers.
const LIBRARY: &str = "
double mixed(long a, double x, long b, double y, long c, double z, long d, long e, long f, long on_stack) {
    return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * on_stack + x / 2 + y / 4 + z / 8;
}
const char *unused(void) { return 0; }
";

const PROGRAM: &str = "
#include <stdio.h>
double mixed(long a, double x, long b, double y, long c, double z, long d, long e, long f, long on_stack);
int main(void) {
    for (int call = 0; call < 2; call++)
        printf(\"%.3f\\n\", mixed(1, 1, 2, 1, 3, 1, 4, 5, 6, 7));
    return 0;
}
";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quintet-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The program, with trampolines in place of the library.
    fn program(&self) -> PathBuf {
        let assembly = trampolines::assembly("resolve_test", &["mixed", "unused", "absent"]);
        let program = self.0.join("program");
        let first_call = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/first_call.c");
        cc(Command::new("cc")
            .args(["-DRESOLVE=resolve_test", "-DLIBRARY=\"libquintet_test.so.7\"", "-o"])
            .arg(&program)
            .arg(self.file("program.c", PROGRAM))
            .arg(self.file("trampolines.S", &assembly))
            .arg(first_call)
            .arg("-ldl"));
        program
    }

    fn run(&self, program: &Path) -> Output {
        Command::new(program).env("LD_LIBRARY_PATH", &self.0).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn cc(command: &mut Command) {
    let output = command.output().expect("a C compiler, which the build needs as well");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn arguments_and_results_pass_through() {
    let folder = Folder::new("trampolines");
    let program = folder.program();
    let library = folder.0.join("libquintet_test.so.7");
    cc(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(folder.file("library.c", LIBRARY)));
    let output = folder.run(&program);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7654321.875\n7654321.875\n");
}

#[test]
fn a_program_starts_without_the_library_and_names_it_when_it_is_called() {
    let folder = Folder::new("no-library");
    let output = folder.run(&folder.program());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.starts_with("fatal: CUDA's function mixed was called, but libquintet_test.so.7"),
        "{said}"
    );
}
