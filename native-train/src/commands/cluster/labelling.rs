//! The jobs that label a large file: what `predict` is told, and how the parts of the file become tasks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;

use super::jobs::{Jobs, not_for_cluster, refused, rounds, without};
use super::options::Options;
use crate::cli::{Cli, Command, PredictArgs};
use crate::error::UserError;
use crate::format::Format;
use crate::run::Run;
use crate::shell;

/// The parts that a file is labelled in, unless `--set parts` says otherwise.
const PARTS: usize = 8;

/// The labelling of one file.
pub struct Labelling {
    options: Options,
    /// The flags of `predict`, quoted for a shell, without `--output`.
    flags: String,
    output: PathBuf,
    parts: usize,
}

impl Labelling {
    pub fn new(options: Options, flags: &[String]) -> Result<Self, UserError> {
        let args = parse(flags)?;
        if args.part.is_some() {
            return Err(not_for_cluster("--part", "`--set parts=N` has their number"));
        }
        if !options.seeds.is_empty() {
            return Err(UserError::new("`--set seeds` is not for `predict`")
                .hint("a run that is trained has its seed"));
        }
        let shown = args.output.display();
        if Format::of(&args.output, args.output_format) == Format::Parquet {
            return Err(UserError::new(format!(
                "`--output {shown}`: parts of Parquet cannot be put together by `cat`"
            ))
            .hint("write .csv, .tsv or .jsonl, with .gz to compress it"));
        }
        if args.output.file_name().is_none() {
            return Err(UserError::new(format!("`--output {shown}` names no file")));
        }
        // The parts have names of their own, and the whole is moved to this one.
        if let Ok(run) = Run::open(&args.inference.run) {
            run.check_output(&args.output, &[("--input", &args.inference.input)])?;
        }
        let mut kept = without(flags, "--output");
        if args.inference.threads.is_none() {
            // A task that takes all cores of its node would slow the others down.
            kept.extend(["--threads".to_owned(), options.cpus.to_string()]);
        }
        let parts = options.parts.unwrap_or(PARTS);
        Ok(Self { options, flags: shell::words(&kept), output: args.output, parts })
    }

    pub fn jobs(self) -> Jobs {
        let Self { parts, flags, .. } = &self;
        let program = &self.options.program;
        Jobs {
            purpose: "Labels the parts of a file on {} and puts them together",
            again: "To label again what was stopped, submit it again: a part is labelled as a whole.",
            each: "part",
            tasks: *parts,
            layout: format!("{parts} parts, {}", rounds(&self.options, *parts)),
            variables: format!("output={}\n", self.part("$task")),
            task: format!(
                "{program} predict {flags} --output \"$output\" --part \"$task/{parts}\""
            ),
            train: false,
            last: "join",
            last_does: "The whole file, once every part is labelled.",
            last_commands: self.join(),
            options: self.options,
        }
    }

    /// The file of a part, as a word of a shell. What the format is told by ends its name as well.
    fn part(&self, task: &str) -> String {
        let name = self.output.file_name().unwrap_or_default().to_string_lossy();
        self.beside(&format!("part-{task}-of-{}-", self.parts), &name)
    }

    /// Shell lines that put the parts together, in a file that takes its name when it is complete.
    fn join(&self) -> String {
        let name = self.output.file_name().unwrap_or_default().to_string_lossy();
        let output = self.output.display().to_string();
        let output = shell::quoted(&output);
        let last = self.parts - 1;
        let (part, whole) = (self.part("$task"), self.beside("unfinished-", &name));
        format!(
            "parts=()\nfor task in $(seq 0 {last}); do parts+=({part}); done\n\
             cat \"${{parts[@]}}\" > {whole}\nmv {whole} {output}\nrm \"${{parts[@]}}\"\n"
        )
    }

    /// A word of a shell: the path of a file in the folder of the output. `prefix` may have variables of the shell.
    fn beside(&self, prefix: &str, name: &str) -> String {
        let folder = match self.output.parent() {
            Some(folder) if folder != Path::new("") => format!("{}/", folder.display()),
            _ => return prefix.to_owned() + &shell::quoted(name),
        };
        shell::quoted(&folder).into_owned() + prefix + &shell::quoted(name)
    }
}

/// The flags as `predict` reads them.
fn parse(flags: &[String]) -> Result<PredictArgs, UserError> {
    let line = ["native-train", "predict"].into_iter().chain(flags.iter().map(String::as_str));
    match Cli::try_parse_from(line) {
        Ok(Cli { command: Command::Predict(args), .. }) => Ok(args),
        Ok(_) => Err(UserError::new("these are not the flags of `predict`")),
        Err(error) => Err(refused(&error, "predict")),
    }
}
