//! `cargo xtask package`: the browser side as a JavaScript package, in `TARGET/package`, and as a tarball that npm installs.
//!
//! Two WebAssembly modules, the page's side and the worker, by cargo and wasm-bindgen; around them the
//! files of `web/package`. No npm.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use serde_json::Value;

use crate::payload;
use crate::setup::{self, WASM_TARGET};
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::Workspace;
use tarball::pack;

mod tarball;

/// The profile of `static/index.html`.
const PROFILE: &str = "web";

const SOURCES: &str = "web/package";
const COPIED: [&str; 11] = [
    "quintet.js",
    "quintet.d.ts",
    "entry.js",
    "inline.js",
    "node.js",
    "node_files.js",
    "node_worker.js",
    "react.js",
    "react.d.ts",
    "README.md",
    "example.html",
];

/// The name that trunk gives a worker's loader shim, and its content: without `await`, which bundlers refuse in a classic worker.
/// The page hears of an error that is thrown, and not of a promise that is rejected.
const LOADER: (&str, &str) = (
    "worker_loader.js",
    "import init from \"./worker.js\";\n\ninit().catch((error) => setTimeout(() => { throw error; }));\n",
);

const MANIFEST: &str = "package.json";

/// The modules and the worker's script as strings, for the entry point `quintet/inline`.
const INLINE: &str = "inline_parts.js";

/// The tarball's name in the target folder.
pub fn tarball_name() -> String {
    format!("quintet-{}.tgz", env!("CARGO_PKG_VERSION"))
}

/// Builds the package's folder and its tarball.
///
/// # Errors
/// If a tool is missing or fails, or a file cannot be written.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::for_wasm(workspace)?;
    let package = Package {
        shell: Shell::new(workspace),
        built: workspace.target.join(WASM_TARGET).join(PROFILE),
        sources: workspace.root.join(SOURCES),
        output: Site::of(workspace).package,
        tarball: workspace.target.join(tarball_name()),
    };
    package.build()?;
    package.lay_out()?;
    package.pack()?;
    package.print()
}

struct Package<'a> {
    shell: Shell<'a>,
    /// The folder where cargo leaves the modules.
    built: PathBuf,
    sources: PathBuf,
    output: PathBuf,
    tarball: PathBuf,
}

impl Package<'_> {
    fn build(&self) -> Result<()> {
        let mut command = self.shell.command("cargo");
        command.args(["build", "--locked", "--profile", PROFILE, "--target", WASM_TARGET]);
        command.args(["--package", "web", "--bin", "quintet", "--bin", "worker"]);
        shell::run(&mut command, "see the compiler's message above")
    }

    fn lay_out(&self) -> Result<()> {
        if self.output.exists() {
            fs::remove_dir_all(&self.output)?;
        }
        self.bind("quintet")?;
        self.bind("worker")?;
        // The name `quintet.js` is the front's, which sets the module up by itself.
        fs::rename(self.output.join("quintet.js"), self.output.join("quintet_bindings.js"))?;
        for file in COPIED {
            let from = self.sources.join(file);
            fs::copy(&from, self.output.join(file))?;
        }
        self.write(LOADER.0, LOADER.1)?;
        self.write(INLINE, &self.inline_parts()?)?;
        // Not made as JSON here: the first condition of `exports` that fits is taken, so their order counts.
        let manifest = fs::read_to_string(self.sources.join(MANIFEST))?;
        let manifest = manifest.replace("{version}", env!("CARGO_PKG_VERSION"));
        self.write(MANIFEST, &manifest.replace("{license}", env!("CARGO_PKG_LICENSE")))
    }

    fn inline_parts(&self) -> Result<String> {
        let module = |file: &str| -> Result<Value> {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&fs::read(self.output.join(file))?)?;
            Ok(BASE64_STANDARD.encode(packed.finish()?).into())
        };
        let script = Value::from(fs::read_to_string(self.output.join("worker.js"))?);
        let (page, worker) = (module("quintet_bg.wasm")?, module("worker_bg.wasm")?);
        Ok(format!(
            "// Made by `cargo xtask package`: the modules, by gzip and in base64, and the worker's script.\n\
             export const page = {page};\nexport const worker = {worker};\nexport const workerScript = {script};\n"
        ))
    }

    /// The files in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.output)?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|file| file.is_file());
        files.sort();
        Ok(files)
    }

    fn pack(&self) -> Result<()> {
        Ok(fs::write(&self.tarball, pack(&self.files()?)?)?)
    }

    fn bind(&self, program: &str) -> Result<()> {
        let mut command = self.shell.command("wasm-bindgen");
        command.args(["--target", "web", "--no-typescript", "--out-name", program, "--out-dir"]);
        command.arg(&self.output).arg(self.built.join(program).with_extension("wasm"));
        shell::run(&mut command, "see its message above; `cargo xtask setup` installs it")
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let file = self.output.join(name);
        Ok(fs::write(&file, content)?)
    }

    /// A line a file: what it weighs, and what of it goes over the wire.
    fn print(&self) -> Result<()> {
        println!("{:<24} {:>10} {:>10}", self.output.display(), "bytes", "brotli");
        for file in self.files()? {
            let bytes = fs::read(&file)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            println!("  {name:<22} {:>10} {:>10}", bytes.len(), payload::compress(&bytes)?.len());
        }
        let packed = fs::metadata(&self.tarball)?.len();
        println!("{:<24} {packed:>10}", self.tarball.display());
        Ok(())
    }
}
