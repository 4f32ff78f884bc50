//! Programs that break the driver's rules in one way each: every check of the stand-in finds what it is for, and lets
//! what is right pass.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;

use cuda_standin::{Machine, VIOLATED, library};

/// What is done, and what is said of it; nothing where it is right.
const CASES: [(&str, &str); 30] = [
    ("none", ""),
    ("an event", ""),
    ("the host waits", ""),
    ("other bytes", ""),
    ("aligned", ""),
    ("a product", ""),
    ("a bias", ""),
    ("the gradient of a bias of rows", ""),
    ("the gradient of a bias of columns", ""),
    (
        "beyond the end of a kernel's memory",
        "cuLaunchKernel (zero): the kernel writes 4 bytes at 0x",
    ),
    ("use after free", "lies in no allocation any more: it was freed by cuMemFreeAsync"),
    ("freed twice", "is freed already, by cuMemFreeAsync"),
    ("an address of nothing", "cuLaunchKernel (zero): parameter 0 at 0x40 lies in no allocation"),
    ("no event", "and no event is between them"),
    ("the same bytes after the event", "and no event is between them"),
    ("freed while in use", "while stream 3 may still write it (zero)"),
    ("too much is uploaded", "which is 1 bytes beyond the end of its allocation of 4096"),
    ("too many threads", "the number of threads of a block is 512, and may be 1 to 256"),
    (
        "shared memory that was not asked for",
        "a block has 65536 bytes of shared memory, 49152 were asked for",
    ),
    (
        "shared memory that the card has not",
        "235520 bytes of shared memory a block, and stand-in, sm_75 has 65536",
    ),
    ("another module's kernel", "gelu.cu has no kernel `zero`"),
    ("not aligned", "reads 16 bytes at once at 0x"),
    ("no context", "this thread has no current context"),
    ("another card's stream", "the stream is card 0's, the thread's current context card 1's"),
    ("another card's memory", "is in the memory of card 0, and is used on card 1"),
    ("a product beyond the end", "the first operand takes 256 bytes from"),
    ("another epilogue", "cublasLtMatmul: the stand-in has no epilogue 32"),
    ("a stride below the rows", "the first operand has 8 rows, and a stride of 4"),
    (
        "bf16 before Ampere",
        "cublasGemm (bf16 [8, 8] x bf16 [8, 8] -> bf16): stand-in, sm_75 has no bf16",
    ),
    (
        "candle's kernel that is not written",
        "`usin_f32` of unary.cu is not written for the stand-in",
    ),
];

fn compiled(library: &Path, folder: &Path) -> PathBuf {
    let program = folder.join("mistakes");
    let source = folder.join("mistakes.c");
    std::fs::write(&source, include_str!("mistakes.c")).expect("room for a file");
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(source).arg(library);
    assert!(cc.status().expect("a C compiler").success());
    program
}

#[test]
fn each_mistake_is_found_and_nothing_else() {
    let Some(library) = library() else {
        eprintln!("skipped: the stand-in was not compiled");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = compiled(library, folder.path());
    let machine = Machine::new(folder.path()).cards("75,75");
    for (case, said) in CASES {
        let output = machine.run(Command::new(&program).arg(case)).unwrap().output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let violations = machine.account().unwrap().violations;
        if said.is_empty() {
            assert_eq!((output.status.code(), violations.len()), (Some(0), 0), "{case}: {stderr}");
            assert_eq!(output.stdout, b"0\n", "{case}");
        } else {
            assert_eq!(output.status.code(), Some(VIOLATED), "{case}: {stderr}");
            assert!(
                violations.iter().any(|violation| violation.contains(said)),
                "{case}: {stderr}"
            );
            assert!(stderr.contains("VIOLATION"), "{case}: {stderr}");
        }
    }
}
