//! The unit tests that need a card, on the stand-in.

use std::env;
use std::process::Command;

use super::{Place, with_standin};

/// The test programs come from `cargo xtask test`, which knows their names.
#[test]
fn the_tests_that_need_a_card_pass() {
    with_standin(|| {
        let programs = env::var_os("QUINTET_CUDA_TESTS").expect("set by `cargo xtask test`");
        for program in env::split_paths(&programs) {
            let place = Place::new();
            let mut command = Command::new(&program);
            command.args(["--ignored", "cuda"]);
            let output = place.machine.run(&mut command).unwrap().output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            assert!(output.status.success(), "{}\n{stdout}{stderr}", program.display());
            assert!(!stdout.contains(" 0 passed"), "{}\n{stdout}", program.display());
        }
    });
}
