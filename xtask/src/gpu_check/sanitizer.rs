//! NVIDIA's compute-sanitizer over the tests: reads and writes outside of memory, races, barriers, memory that nothing has written.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::checks::count_passed;
use super::session::{Limit, Session};

/// Its tools, the most telling first.
pub const TOOLS: [&str; 4] = ["memcheck", "racecheck", "synccheck", "initcheck"];

/// Each kernel once, on small inputs: the tools slow a kernel down up to a hundredfold.
pub const SELF_CHECK: &str = "kernels::cuda::tests::self_check";

/// The status that it ends with where a tool has found something.
const FOUND: &str = "9";

const PROGRAM: &str = "compute-sanitizer";

impl Session<'_> {
    /// Runs the tests of `filter` under one of the tools, in the first packed program of tests.
    pub fn sanitize(&mut self, tool: &str, filter: &str, limit: Limit) -> Result<String> {
        if self.plan.device == "cpu" {
            return Ok("not run: there is no card".to_owned());
        }
        let Some(sanitizer) = find() else {
            return Ok(format!("not run: there is no {PROGRAM}"));
        };
        let Some(test) = self.plan.tests.first() else {
            return Ok("not run: there is no test".to_owned());
        };
        let of_test = self.test(test);
        let mut command = self.program(&sanitizer.to_string_lossy());
        command.args(["--tool", tool, "--error-exitcode", FOUND, "--print-limit", "20"]);
        command.arg(of_test.get_program()).args(of_test.get_args()).arg(filter);
        // One test after the other, so that what is found is beside the test's name.
        command.arg("--test-threads=1");
        let log = format!("{tool}-{}", filter.replace("::", "-"));
        let said = self.limited(&mut command, &log, limit)?;
        let passed = count_passed(&said);
        ensure!(passed > 0, "no test ran");
        Ok(format!("{passed} tests, nothing found"))
    }
}

/// The one of the machine's toolkit. It is not packed: the wheel on PyPI lacks the launcher of the program that it checks.
fn find() -> Option<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    let toolkits = toolkits.map(PathBuf::from).chain(["/usr/local/cuda".into()]);
    let folders = env::split_paths(&on_path).chain(toolkits.map(|toolkit| toolkit.join("bin")));
    folders.map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}
