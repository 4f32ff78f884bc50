//! CUDA's libraries on the machine where the check runs: in a toolkit, or beside PyTorch.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::limited;

/// Where PyTorch keeps the CUDA libraries that it came with: beside itself.
const LIBRARIES_OF_TORCH: &str = "\
import glob, importlib.util, os
spec = importlib.util.find_spec('torch')
base = os.path.dirname(os.path.dirname(spec.origin)) if spec else ''
print(os.pathsep.join(sorted(glob.glob(os.path.join(base, 'nvidia', '*', 'lib')))))";

const LIBRARIES_OF_SYSTEM: [&str; 3] =
    ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/local/cuda/lib64"];

/// The time that Python may take to say where PyTorch is: its disk may be cold.
const LIMIT: Duration = Duration::from_secs(30);

/// Where our programs find CUDA: what the environment says, then PyTorch's own, then the usual places.
pub fn find(python: &Path, log: &Path) -> OsString {
    let mut command = Command::new(python);
    let of_torch = limited::run(command.args(["-c", LIBRARIES_OF_TORCH]), log, LIMIT);
    let of_torch = of_torch.ok().and_then(|said| said.lines().last().map(str::to_owned));
    let given = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = env::split_paths(&given)
        .chain(env::split_paths(of_torch.as_deref().unwrap_or_default()))
        .chain(LIBRARIES_OF_SYSTEM.map(PathBuf::from))
        .filter(|folder| !folder.as_os_str().is_empty());
    env::join_paths(folders).unwrap_or_default()
}
