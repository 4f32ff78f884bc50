//! `cargo xtask package`: the browser side as a JavaScript package, in `TARGET/package`.
//!
//! Two WebAssembly modules, the page's side and the worker, by cargo and wasm-bindgen; around them the
//! files of `web/package`. No npm.

use std::path::PathBuf;

use anyhow::Result;
use fs_err as fs;
use serde_json::json;

use crate::payload;
use crate::setup::{self, WASM_TARGET};
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::Workspace;

/// The profile of `static/index.html`.
const PROFILE: &str = "web";

const SOURCES: &str = "web/package";
const COPIED: [&str; 4] = ["quintet.js", "quintet.d.ts", "README.md", "example.html"];

/// The name that trunk gives a worker's loader shim, and its content.
const LOADER: (&str, &str) =
    ("worker_loader.js", "import init from \"./worker.js\";\nawait init();\n");

pub fn run(workspace: &Workspace) -> Result<()> {
    setup::for_wasm(workspace)?;
    let package = Package {
        shell: Shell::new(workspace),
        built: workspace.target.join(WASM_TARGET).join(PROFILE),
        sources: workspace.root.join(SOURCES),
        output: Site::of(workspace).package,
    };
    package.build()?;
    package.lay_out()?;
    package.print()
}

struct Package<'a> {
    shell: Shell<'a>,
    /// The folder where cargo leaves the modules.
    built: PathBuf,
    sources: PathBuf,
    output: PathBuf,
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
        self.bind("quintet", &[])?;
        self.bind("worker", &["--no-typescript"])?;
        // The name `quintet.js` is the front's, which sets the module up by itself.
        for (from, to) in
            [("quintet.js", "quintet_bindings.js"), ("quintet.d.ts", "quintet_bindings.d.ts")]
        {
            let (from, to) = (self.output.join(from), self.output.join(to));
            fs::rename(&from, to)?;
        }
        for file in COPIED {
            let from = self.sources.join(file);
            fs::copy(&from, self.output.join(file))?;
        }
        self.write(LOADER.0, LOADER.1)?;
        self.write("package.json", &manifest())
    }

    fn bind(&self, program: &str, flags: &[&str]) -> Result<()> {
        let mut command = self.shell.command("wasm-bindgen");
        command.args(["--target", "web", "--out-name", program, "--out-dir"]).arg(&self.output);
        command.args(flags).arg(self.built.join(program).with_extension("wasm"));
        shell::run(&mut command, "see its message above; `cargo xtask setup` installs it")
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let file = self.output.join(name);
        Ok(fs::write(&file, content)?)
    }

    /// A line a file: what it weighs, and what of it goes over the wire.
    fn print(&self) -> Result<()> {
        let entries = fs::read_dir(&self.output)?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|file| file.is_file());
        files.sort();
        println!("{:<24} {:>10} {:>10}", self.output.display(), "bytes", "brotli");
        for file in files {
            let bytes = fs::read(&file)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            println!("  {name:<22} {:>10} {:>10}", bytes.len(), payload::compress(&bytes)?.len());
        }
        Ok(())
    }
}

fn manifest() -> String {
    let manifest = json!({
        "name": "quintet",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "An ensemble of text classifiers in the visitor's browser.",
        "license": env!("CARGO_PKG_LICENSE"),
        "type": "module",
        "main": "quintet.js",
        "types": "quintet.d.ts",
        "sideEffects": false,
    });
    format!("{manifest:#}\n")
}
