//! `cargo xtask`: the workspace's own commands.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::workspace::Workspace;
use xtask::{bench, cuda, demo, docs, gpu_check, package, page, setup, small, survive, test};

/// Sets up, tests, demonstrates and benches the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the tests need and is missing: wasm32 target, trunk, wasm-bindgen, three browsers.
    Setup,
    /// Runs everything that CI runs, after `setup`.
    Test(test::Arguments),
    /// Kills commands at random moments, and checks that nothing is lost and that trying again works.
    Survive(survive::Arguments),
    /// Trains the small model on the embedded sentences and opens the page with it.
    Demo(demo::Arguments),
    /// Checks the documents: runs their commands, follows their links, compares flags with the help.
    Docs(docs::Arguments),
    /// Builds the page into dist, for a bundle beside it or on another site.
    Page(page::Arguments),
    /// Builds the browser side as a JavaScript package, into TARGET/package.
    Package,
    /// Times our code beside a rival's, in one run.
    #[command(subcommand)]
    Bench(Bench),
    /// Builds for NVIDIA GPUs, where there need be neither a GPU nor the CUDA toolkit.
    #[command(subcommand)]
    Cuda(cuda::Command),
    /// Makes the built-in model `small` again, from the shared folder's encoder and texts.
    Small,
    /// Packs what checks and times training on a GPU machine that has neither Rust nor a network.
    GpuCheck(gpu_check::Arguments),
    /// What the packed script starts there.
    #[command(hide = true)]
    GpuRun(gpu_check::ThereArguments),
}

#[derive(Subcommand)]
enum Bench {
    /// Train step and inference on the CPU, beside PyTorch.
    Cpu(bench::cpu::Arguments),
    /// The models in Chromium, beside onnxruntime-web and transformers.js.
    Browser(bench::browser::Arguments),
    /// A list of texts in Chromium, beside transformers.js' batches.
    Lists(bench::lists::Arguments),
    /// A base model's linear layers in Chromium, shape by shape.
    Linear,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find();
    match command {
        Command::Setup => setup::run(&workspace),
        Command::Test(arguments) => test::run(&workspace, &arguments),
        Command::Survive(arguments) => survive::run(&workspace, &arguments),
        Command::Demo(arguments) => demo::run(&workspace, &arguments),
        Command::Docs(arguments) => docs::run(&workspace, &arguments),
        Command::Page(arguments) => page::run(&workspace, &arguments),
        Command::Package => package::run(&workspace),
        Command::Bench(Bench::Cpu(arguments)) => bench::cpu::run(&workspace, &arguments),
        Command::Bench(Bench::Browser(arguments)) => bench::browser::run(&workspace, &arguments),
        Command::Bench(Bench::Lists(arguments)) => bench::lists::run(&workspace, &arguments),
        Command::Bench(Bench::Linear) => bench::linear::run(&workspace),
        Command::Small => small::run(&workspace),
        Command::Cuda(command) => cuda::run(&workspace, &command),
        Command::GpuCheck(arguments) => gpu_check::run(&workspace, &arguments),
        Command::GpuRun(arguments) => gpu_check::run_there(&arguments),
    }
}
