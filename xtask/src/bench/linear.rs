//! `cargo xtask bench linear`: how fast the linear layers of a base model are in Chromium, shape by shape. What is measured
//! stands in `web/tests/linear.rs`, and in `web/tests/relaxed.rs` for relaxed SIMD.

use anyhow::Result;

use crate::chromium;
use crate::shell;
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace) -> Result<()> {
    let mut command = chromium::tests(workspace)?;
    command.args(["--test", "linear", "--test", "relaxed"]);
    command.args(["--", "--include-ignored", "--nocapture"]);
    // Seconds; the runner waits for 20 otherwise.
    command.env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    shell::run(&mut command, "see its message above")
}
