//! The command line as clap types, and its help. What the words mean is decided further in.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use shared::bundle::Encoding;

use crate::{
    config::{DeviceChoice, Settings},
    export::{HotRows, source::FoldChoice},
};

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
    Export(ExportArgs),
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

    /// auto, cpu, cuda or cuda:N (the N-th card)
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 13)]
    pub device: DeviceChoice,

    /// CPU threads [default: as many as the machine has cores]
    #[arg(long, value_name = "N", display_order = 14)]
    pub threads: Option<usize>,
}

/// Turn a trained run into a bundle, which a browser downloads
///
/// Writes the run's models, tokenizer, thresholds and scores into shards of at most 16 MiB and a
/// manifest.json, loads them again as a browser does, and compares what they say of the run's
/// held-out rows with what the run says. What differs by more than the encoding may is not
/// published: DIR is then as it was. Other files in DIR are let be, an older bundle is replaced.
/// Rows are read and written a few megabytes at a time; to compare, one model is in memory.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// Folder that `train` wrote
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// Folder to write the bundle to
    #[arg(long, value_name = "DIR", display_order = 1)]
    pub output: PathBuf,

    /// What to store the matrices as: auto, or MATRICES[/WORDS][+BITS[/BITS]]
    ///
    /// MATRICES, and WORDS for the word embeddings, are f32 (as trained, to the bit), f16 (floats in
    /// the feed-forward matrices, the others as int16), int16, int12, int8 (whole numbers with a scale
    /// for each row) or int4 (a scale for each 128 numbers). From int12 down a browser computes with
    /// whole numbers, which is faster. With +BITS the model that the run began with
    /// is stored once so, and of what sets each fold apart 4, 2 or 1 bits a number; of word
    /// embeddings the second BITS, else they are the same for all folds. `auto` measures
    /// --candidates and takes the smallest bundle within --max-f1-drop whose probabilities move by at
    /// most 0.02 on average.
    #[arg(long, value_name = "ENCODING", default_value = "int12", display_order = 2)]
    #[arg(value_parser = encoding_choice)]
    pub encoding: EncodingChoice,

    /// With `--encoding auto`: by how much macro-F1 of the held-out rows may be lower than the run's
    #[arg(long, value_name = "DROP", default_value_t = 0.002, display_order = 2)]
    pub max_f1_drop: f64,

    /// With `--encoding auto`: the encodings to measure, as int8,int8+2/2 [default: some twelve]
    #[arg(long, value_name = "ENCODINGS", value_delimiter = ',', value_parser = encoding)]
    #[arg(display_order = 2)]
    pub candidates: Vec<Encoding>,

    /// The model that the run began with, which +BITS needs: a folder or hub id [default: as the run's
    /// settings say]
    #[arg(long, value_name = "MODEL", display_order = 2)]
    pub base_model: Option<String>,

    /// How many word embeddings a model needs before it answers: auto, all, or their number
    ///
    /// The others are downloaded after the model answers, and texts with one of their words wait for them, no longer than if all
    /// came together. Vocabularies are ordered by how frequent words are. `auto` takes the first rows that save the run's
    /// texts most, where that leaves at least a quarter of the rows, and 4 MiB, for later; else all.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = hot_rows, display_order = 2)]
    pub hot_rows: HotRows,

    /// Export one model with the mean of the folds' weights: the light choice for phones
    ///
    /// Its score cannot be cross-validated, as each training text was seen by nearly every fold.
    /// With a labelled --test-csv it is scored on that, else it is told how often it decides as the
    /// ensemble does. Folds that began with different random weights (`mini`) have no useful mean.
    #[arg(long, display_order = 3)]
    pub soup: bool,

    /// Folds to export: all, or their numbers, as 0,2
    #[arg(long, value_name = "FOLDS", default_value = "all", value_parser = fold_choice)]
    #[arg(display_order = 3)]
    pub folds: FoldChoice,

    /// What the page is to call the ensemble [default: the run folder's name]
    #[arg(long, value_name = "TEXT", display_order = 4)]
    pub title: Option<String>,

    /// Licence of the weights, for the page to show
    #[arg(long, value_name = "TEXT", display_order = 5)]
    pub license: Option<String>,

    /// CSV that the run was trained on [default: where it was then]
    #[arg(long, value_name = "FILE", display_order = 6)]
    pub train_csv: Option<PathBuf>,

    /// CSV of texts that the run was not trained on, to compare the ensembles on; with a column for
    /// each label they are scored as well [default: a sample of the training texts]
    #[arg(long, value_name = "FILE", display_order = 7)]
    pub test_csv: Option<PathBuf>,

    /// CPU threads [default: as many as the machine has cores]
    #[arg(long, value_name = "N", display_order = 13)]
    pub threads: Option<usize>,
}

/// What `--encoding` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodingChoice {
    This(Encoding),
    /// The smallest that is hardly worse than the run.
    Auto,
}

fn hot_rows(text: &str) -> Result<HotRows, String> {
    match text {
        "auto" => Ok(HotRows::Auto),
        "all" => Ok(HotRows::All),
        number => match number.parse() {
            Ok(rows) if rows > 0 => Ok(HotRows::These(rows)),
            _ => Err("auto, all or a number of rows is needed".to_owned()),
        },
    }
}

fn encoding_choice(text: &str) -> Result<EncodingChoice, String> {
    match text {
        "auto" => Ok(EncodingChoice::Auto),
        _ => encoding(text).map(EncodingChoice::This),
    }
}

fn encoding(text: &str) -> Result<Encoding, String> {
    text.parse().map_err(|_| {
        "it is none of f32, f16, int16, int12, int8, int8/int4, int8+2/1 ..".to_owned()
    })
}

fn fold_choice(text: &str) -> Result<FoldChoice, String> {
    if text == "all" {
        return Ok(FoldChoice::All);
    }
    let numbers: Option<Vec<usize>> = text.split(',').map(|number| number.parse().ok()).collect();
    numbers.map(FoldChoice::These).ok_or("it is neither `all` nor numbers with commas".to_owned())
}

/// Say what a model, tokenizer, run, bundle or weights file is
///
/// PATH may be a model folder, a run, a bundle, tokenizer.json, spm.model, a .safetensors or a
/// pytorch_model.bin. Weights are described from their headers, so this is quick for any size; a
/// bundle is read whole and its shards are checked.
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

const EXPORT_EXAMPLES: &str = "\
Examples:
  native-train export --run runs/base --output static/bundle
  native-train export --run runs/base --output bundle --encoding int8 --title \"Emotions\" --license MIT
  The smallest that is hardly worse; one model for phones:
    native-train export --run runs/base --output bundle --encoding auto
    native-train export --run runs/base --output light --encoding int8 --soup --test-csv labelled.csv";

const INSPECT_EXAMPLES: &str = "\
Examples:
  native-train inspect runs/base
  native-train inspect static/bundle
  native-train inspect runs/base/fold-0/model.safetensors
  native-train inspect runs/base/fold-0 --text \"what a lovely day\"";
