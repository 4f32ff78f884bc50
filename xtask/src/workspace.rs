//! The folders of this workspace, and the versions in its lock file.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

/// The folders that the commands work in.
pub struct Workspace {
    pub root: PathBuf,
    /// Cargo's target folder, which several clones may share.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo's environment first: with a shared target folder the binary may come from another clone.
    pub fn find() -> Self {
        let manifest = env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root =
            Path::new(&manifest).parent().expect("xtask lies inside the workspace").to_owned();
        // `join` keeps an absolute CARGO_TARGET_DIR as it is.
        let target = root.join(
            env::var_os("CARGO_TARGET_DIR")
                .filter(|dir| !dir.is_empty())
                .unwrap_or("target".into()),
        );
        Self { root, target }
    }

    /// The folder that `setup` installs programs into, so that nothing outside the target folder changes.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The folder of data that is too large for the repository: `QUINTET_SHARED`, else `shared` beside the clone.
    pub fn shared_data(&self) -> PathBuf {
        env::var_os("QUINTET_SHARED").map_or_else(|| self.root.join("../shared"), PathBuf::from)
    }

    /// A program built by `cargo build --release`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name).with_extension(env::consts::EXE_EXTENSION)
    }

    /// The version that Cargo.lock holds of `package`.
    pub fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.root.join("Cargo.lock");
        let lock = fs::read_to_string(&path)?;
        version_in_lock(&lock, package)
            .with_context(|| format!("{} names no package `{package}`", path.display()))
    }
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.2.1\"\n\n\
                        [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.2\"\nsource = \"registry\"\n";

    #[test]
    fn finds_the_package_of_exactly_that_name() {
        assert_eq!(version_in_lock(LOCK, "wasm-bindgen").as_deref(), Some("0.2.2"));
        assert_eq!(version_in_lock(LOCK, "wasm"), None);
    }
}
