//! The command line as clap types, and its help. What the words mean is decided further in.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;

/// Fine-tunes a k-fold DeBERTa-v3 ensemble that labels texts with emotions (or any other labels),
/// and uses it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// No progress and notes on stderr, only warnings and errors
    #[arg(long, short, global = true, display_order = 20)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Box<TrainArgs>),
    Predict(PredictArgs),
    Evaluate(EvaluateArgs),
    Inspect(InspectArgs),
}

/// Train an ensemble: CSV in; models, thresholds, scores and predictions out
///
/// Deals the rows to folds, fine-tunes one model for each fold on the rows of the others, finds the
/// threshold of each label on the rows each model has not seen, and reports the scores. Defaults
/// are those of the usual DeBERTa-v3 fine-tuning job.
#[derive(Debug, Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub struct TrainArgs {
    #[command(flatten)]
    pub settings: Settings,

    /// Read settings from a TOML file; flags win over it
    ///
    /// Its keys are the flags without the leading dashes: `batch-size = 32`. Every run saves its
    /// own as RUN/config.toml, so that `--config RUN/config.toml --output NEW` repeats it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Continue an interrupted run from its last checkpoint
    ///
    /// The settings are those saved in RUN unless given again; changed ones are refused. Folds that
    /// are finished are not trained again, and the result is that of an uninterrupted run.
    #[arg(long)]
    pub resume: bool,

    /// Check data, model and settings, print the plan, train nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Label the texts of a CSV with a trained run
///
/// Averages the probabilities of the run's models, applies its thresholds and writes an id and a
/// 0 or 1 for each label, rows in the order of the input. The file may be of any size: it is read
/// in pieces.
#[derive(Debug, Args)]
#[command(after_help = PREDICT_EXAMPLES)]
pub struct PredictArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,

    /// CSV to write
    #[arg(long, value_name = "FILE", display_order = 2)]
    pub output: PathBuf,

    /// Write probabilities (0 to 1) rather than 0/1
    #[arg(long, display_order = 3)]
    pub probabilities: bool,
}

/// Score a trained run on a labelled CSV
///
/// Prints F1, precision, recall and support of each label with their macro and micro means, at 0.5
/// and at the run's thresholds. Scores of rows the run was trained on say little.
#[derive(Debug, Args)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,

    /// Print JSON rather than a table
    #[arg(long, display_order = 3)]
    pub json: bool,
}

/// What both users of a trained run need.
#[derive(Debug, Args)]
pub struct InferenceArgs {
    /// Folder that `train` wrote
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// CSV with the texts
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub input: PathBuf,

    /// Go on without the folds that were not trained; their votes are missing from the mean
    #[arg(long, display_order = 10)]
    pub allow_missing_folds: bool,

    /// Column with the text [default: as `train` was told, else as `train` finds it]
    #[arg(long, value_name = "NAME", display_order = 11)]
    pub text_column: Option<String>,

    /// Column with the row's id [default: as `train` was told, else id; rows are numbered without one]
    #[arg(long, value_name = "NAME", display_order = 12)]
    pub id_column: Option<String>,

    /// CPU threads [default: as many as the machine has cores]
    #[arg(long, value_name = "N", display_order = 13)]
    pub threads: Option<usize>,
}

/// Say what a model, tokenizer, run or weights file is
///
/// PATH may be a model folder, a run, tokenizer.json, spm.model, a .safetensors or a
/// pytorch_model.bin. Weights are described from their headers, so this is quick for any size.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// File or folder
    pub path: PathBuf,

    /// Show the ids and tokens of this text, by the tokenizer at PATH
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  native-train train --model mini --train-csv train.csv --test-csv test.csv --output runs/first
  native-train predict --run runs/first --input new.csv --output labelled.csv
  native-train train --help";

const TRAIN_EXAMPLES: &str = "\
Examples:
  A first try, a few minutes on a CPU:
    native-train train --model mini --train-csv train.csv --output runs/mini
  The real thing, and predictions for a test file:
    native-train train --train-csv train.csv --test-csv test.csv --output runs/base
  What would it do, and how much memory would it take?
    native-train train --train-csv train.csv --output runs/base --dry-run
  The machine went down:
    native-train train --output runs/base --resume
  The same again with another seed:
    native-train train --config runs/base/config.toml --seed 7 --output runs/base-7";

const PREDICT_EXAMPLES: &str = "\
Examples:
  native-train predict --run runs/base --input new.csv --output labelled.csv
  native-train predict --run runs/base --input new.csv --output scores.csv --probabilities";

const EVALUATE_EXAMPLES: &str = "\
Examples:
  native-train evaluate --run runs/base --input held-out.csv
  native-train evaluate --run runs/base --input held-out.csv --json > scores.json";

const INSPECT_EXAMPLES: &str = "\
Examples:
  native-train inspect runs/base
  native-train inspect runs/base/fold-0/model.safetensors
  native-train inspect runs/base/fold-0 --text \"what a lovely day\"";
