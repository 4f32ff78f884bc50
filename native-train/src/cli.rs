//! The command line and its help, as clap types.

mod cluster;
mod examples;
mod export;
mod review;

use std::path::PathBuf;

use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use shared::bundle::Encoding;
use shared::csv::Delimiter;
use shared::quant;

pub use cluster::{ClusterArgs, GatherArgs, Scheduler};
use examples::{
    DISTIL_EXAMPLES, DOCTOR_EXAMPLES, EVALUATE_EXAMPLES, EXAMPLES, INSPECT_EXAMPLES,
    PREDICT_EXAMPLES, SHRINK_EXAMPLES, TRAIN_EXAMPLES,
};
pub use export::{EncodingChoice, ExportArgs, OnlyModels};
pub use review::{AuditArgs, CompareArgs, ReportArgs};

use crate::config::{DeviceChoice, Settings, ShrinkSettings};
use crate::format::Format;

/// Fine-tunes a k-fold DeBERTa-v3 ensemble that labels texts with emotions (or any other labels),
/// and uses it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print only warnings and errors on stderr, no progress
    #[arg(long, short, global = true, display_order = 20)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Box<TrainArgs>),
    Gather(GatherArgs),
    Cluster(ClusterArgs),
    Distil(Box<DistilArgs>),
    Predict(PredictArgs),
    Evaluate(EvaluateArgs),
    Report(ReportArgs),
    Audit(AuditArgs),
    Compare(CompareArgs),
    Export(ExportArgs),
    Inspect(InspectArgs),
    Shrink(ShrinkArgs),
    Doctor(DoctorArgs),
    #[command(hide = true)]
    Pack(PackArgs),
}

/// Train an ensemble: a file of texts in; models, thresholds, scores and predictions out
///
/// Deals the rows to folds, fine-tunes one model for each fold on the rows of the others, tunes a
/// threshold for each label on the rows that each model has not seen, and reports the scores. The
/// defaults are those of the usual DeBERTa-v3 fine-tuning job.
#[derive(Debug, Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub struct TrainArgs {
    #[command(flatten)]
    pub settings: Settings,

    /// Read settings from a TOML file; flags take precedence
    ///
    /// Its keys are the flags without the leading dashes: `batch-size = 32`. Every run saves its
    /// settings as RUN/config.toml, so `--config RUN/config.toml --output NEW` repeats it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Continue an interrupted run from its last checkpoint
    ///
    /// The settings are those saved in RUN; other values are rejected. Folds that are trained are not
    /// trained again, and the result is that of an uninterrupted run.
    #[arg(long)]
    pub resume: bool,

    /// Check data, model and settings and print the plan, without training
    #[arg(long)]
    pub dry_run: bool,
}

/// Teach a small model what a trained run knows
///
/// Each student learns from one of the teacher's folds: the labels of its training rows, the teacher's
/// probabilities for them, and the teacher's probabilities for texts that no one has labelled. Texts that
/// a student's fold holds out are kept from it, so its scores are as honest as the teacher's. Then a final
/// model learns from the whole ensemble on all rows and texts: the one that a browser loads first.
/// RUN is an ordinary run.
#[derive(Debug, Args)]
#[command(after_help = DISTIL_EXAMPLES, mut_args = of_students)]
pub struct DistilArgs {
    /// Folder of the teacher, a run that `train` wrote (required)
    #[arg(long, value_name = "TEACHER", display_order = 0)]
    pub run: Option<PathBuf>,

    /// Files with texts to learn from that need no labels
    ///
    /// Tables with a text column, which is found as by `train`, or .txt files with a text on each line. A
    /// text that equals an earlier one or a row of the training file is left out.
    #[arg(long, value_name = "FILE", num_args = 1.., display_order = 1)]
    pub texts: Vec<PathBuf>,

    /// Weight of the teacher's probabilities beside labels, 0 to 1 [default: 0.7]
    ///
    /// Texts without labels are learned from the teacher alone.
    #[arg(long, value_name = "WEIGHT", display_order = 2)]
    pub alpha: Option<f64>,

    /// Temperature that the logits of teacher and student are divided by, above 0 [default: 1]
    ///
    /// Above 1, small differences between improbable labels count more.
    #[arg(long, value_name = "T", display_order = 2)]
    pub temperature: Option<f64>,

    /// Train the same model without a teacher as well, for comparison
    #[arg(long, display_order = 3)]
    pub baseline: bool,

    #[command(flatten)]
    pub settings: Settings,

    /// Continue an interrupted distillation
    ///
    /// The settings are those saved in RUN; other values are rejected. The result is that of an
    /// uninterrupted one.
    #[arg(long)]
    pub resume: bool,

    /// Check teacher, data, model and settings and print the plan, without training
    #[arg(long)]
    pub dry_run: bool,
}

/// Hides the flags of `train` that the teacher decides, and says of others what they mean for students.
fn of_students(argument: Arg) -> Arg {
    const DECIDED: [&str; 11] = [
        "labels",
        "label_list_column",
        "text_column",
        "id_column",
        "format",
        "delimiter",
        "skip_unlabelled",
        "soft_labels",
        "folds",
        "only_fold",
        "split",
    ];
    let told = |help: &'static str| Some((help, None::<&'static str>));
    let help = match argument.get_id().as_str() {
        id if DECIDED.contains(&id) => return argument.hide(true),
        "train_csv" => told("File that the teacher was trained on [default: where it was]"),
        "model" => Some((
            "Model to teach: a folder, a hub id, `small` or `mini` (required)",
            Some(
                "A folder holds config.json, weights and a tokenizer, as for `train`. `small`, an English encoder \
                 within this program, and `mini`, which begins with the seed alone, need no download.",
            ),
        )),
        "max_len" => told("Longest text of a student in tokens [default: the teacher's]"),
        "seed" => {
            told("Seed of initial weights, shuffling and dropout, 0 to 4294967295 [default: 42]")
        }
        _ => None,
    };
    match help {
        Some((short, None)) => argument.help(short).long_help(short),
        Some((short, Some(more))) => argument.help(short).long_help(format!("{short}\n\n{more}")),
        None => argument,
    }
}

/// Label the texts of a file with a trained run
///
/// Averages the probabilities of the run's models, applies its thresholds, and writes an id and a 0
/// or 1 for each label, in the order of the input. CSV, TSV, JSON Lines and Parquet are read and
/// written, by the ends of the files' names. A file may have any size, as it is read in chunks.
#[derive(Debug, Args)]
#[command(after_help = PREDICT_EXAMPLES)]
pub struct PredictArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,

    /// File to write
    ///
    /// The end of its name tells the format: .csv, .tsv, .jsonl or .parquet, all but the last also with
    /// .gz, which compresses. Any other name is written as CSV.
    #[arg(long, value_name = "FILE", display_order = 2)]
    pub output: PathBuf,

    /// Format of the output: csv, tsv, jsonl or parquet [default: told by its name, else csv]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, display_order = 2)]
    pub output_format: Option<Format>,

    /// Write probabilities (0 to 1) instead of 0 and 1
    #[arg(long, display_order = 3)]
    pub probabilities: bool,

    /// Numbers of the products, on the CPU: f32, or int12 or int8, which are faster and round
    ///
    /// The weights are rounded as in a bundle of this encoding. The first 256 texts are labelled in f32 as
    /// well, and how far the probabilities differ is printed.
    #[arg(
        long,
        value_name = "ENCODING",
        default_value = "f32",
        hide_possible_values = true,
        display_order = 3
    )]
    pub encoding: PredictEncoding,

    /// Write each text beside its id, so that `train` can read the file
    ///
    /// With --probabilities it is a training file for `train --soft-labels`.
    #[arg(long, display_order = 3)]
    pub with_text: bool,

    /// Label only part I of N, counted from 0, so that N processes share a file
    ///
    /// Parts are neighbouring rows. Only part 0 has a header, so `cat` puts them together, and the whole is
    /// that of one process; each part of Parquet is a file of its own. Parts have whole blocks of 4,096
    /// rows: of a small file some have none.
    #[arg(long, value_name = "I/N", display_order = 4, value_parser = part)]
    pub part: Option<Part>,
}

/// The value of `predict --encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictEncoding {
    F32,
    Int12,
    Int8,
}

impl From<PredictEncoding> for Encoding {
    fn from(encoding: PredictEncoding) -> Self {
        Self::from(match encoding {
            PredictEncoding::F32 => quant::Format::F32,
            PredictEncoding::Int12 => quant::Format::Int12,
            PredictEncoding::Int8 => quant::Format::Int8,
        })
    }
}

/// A part of a file's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Below `of`.
    pub index: usize,
    pub of: usize,
}

fn part(text: &str) -> Result<Part, String> {
    let numbers =
        text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((index, of)) if index < of => Ok(Part { index, of }),
        _ => Err("use I/N with I from 0 to N - 1, such as 0/8".to_owned()),
    }
}

/// Score a trained run on a labelled file
///
/// Prints F1, precision, recall and support for each label with macro and micro averages, at 0.5 and
/// at the run's thresholds. Scores on rows that the run was trained on say little.
#[derive(Debug, Args)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,

    /// Print JSON instead of a table
    #[arg(long, display_order = 3)]
    pub json: bool,

    /// Leave out rows that no one has labelled: every label is blank or -1
    #[arg(long, display_order = 12)]
    pub skip_unlabelled: bool,

    /// Column with a list of each text's labels [default: the run's setting]
    ///
    /// If the file has none of this name, but a column for each label, those are taken.
    #[arg(long, value_name = "NAME", display_order = 12)]
    pub label_list_column: Option<String>,

    /// Take probabilities from 0 to 1 as labels: 0.5 and more count as 1 [default: the run's setting]
    #[arg(long, display_order = 12)]
    pub soft_labels: bool,
}

/// The flags of the commands that use a trained run.
#[derive(Debug, Args)]
pub struct InferenceArgs {
    /// Folder of the run that `train` wrote
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// File with the texts: CSV, TSV, JSON Lines or Parquet
    ///
    /// The end of its name tells the format: .csv, .tsv, .jsonl or .parquet, all but the last also with
    /// .gz. Any other name is read as CSV.
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub input: PathBuf,

    /// Predict without the folds that are not trained
    #[arg(long, display_order = 10)]
    pub allow_missing_folds: bool,

    /// Column with the text [default: the run's setting, else found as by `train`]
    #[arg(long, value_name = "NAME", display_order = 11)]
    pub text_column: Option<String>,

    /// Column with the row's id [default: the run's setting, else id, else rows are numbered from 0]
    #[arg(long, value_name = "NAME", display_order = 12)]
    pub id_column: Option<String>,

    /// Format of the input: csv, tsv, jsonl or parquet [default: told by its name, else csv]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, display_order = 12)]
    pub format: Option<Format>,

    /// Character between the columns of CSV: comma, semicolon, tab or bar [default: found in the file]
    #[arg(long, value_name = "CHARACTER", display_order = 13)]
    pub delimiter: Option<Delimiter>,

    /// Device: auto, cpu, cuda or cuda:N (the N-th GPU)
    ///
    /// N counts from 0 the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order.
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 14)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    ///
    /// Cores are those that affinity, cgroup and Slurm (SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE)
    /// leave to this process.
    #[arg(long, value_name = "N", display_order = 15)]
    pub threads: Option<usize>,
}

/// Make a smaller encoder from a larger one, taught on plain texts
///
/// Keeps some of the teacher's layers, cuts its vocabulary to what the texts need, and factorises its
/// word embeddings. Then the student reads the texts and learns to have the teacher's hidden states
/// and attention relations. DIR becomes a model for `train --model DIR`, and for Hugging Face
/// transformers.
#[derive(Debug, Args)]
#[command(after_help = SHRINK_EXAMPLES)]
pub struct ShrinkArgs {
    #[command(flatten)]
    pub settings: ShrinkSettings,

    /// Folder to write the student into
    #[arg(long, value_name = "DIR", display_order = 2)]
    pub output: PathBuf,

    /// Continue an interrupted shrinking from its last checkpoint
    #[arg(long)]
    pub resume: bool,

    /// Check teacher, texts and settings and print the plan, without training
    #[arg(long)]
    pub dry_run: bool,
}

/// Describe this machine, check what it computes with, and time it
///
/// Prints the program's build, the processor's instruction sets, threads and where their number comes
/// from, memory and its bandwidth, GPUs, driver and NVIDIA's libraries, whether each kernel computes on
/// the GPU what it does on the CPU, and the time of a training step of the built-in model `small`. An
/// issue report should hold it.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct DoctorArgs {
    /// Device to check and time: auto, cpu, cuda or cuda:N (the N-th GPU)
    ///
    /// N counts from 0 the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order.
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 1)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    ///
    /// Cores are those that affinity, cgroup and Slurm (SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE)
    /// leave to this process.
    #[arg(long, value_name = "N", display_order = 2)]
    pub threads: Option<usize>,

    /// Print JSON instead of lines
    #[arg(long, display_order = 3)]
    pub json: bool,

    /// Time no training step: for a GPU that is emulated
    #[arg(long, hide = true)]
    pub untimed: bool,
}

/// Write the files of the built-in model `small` from a model's folder
///
/// For who builds this program: its source is compiled with these files.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// Folder of the model
    pub model: PathBuf,

    /// Folder to write config.json, tokenizer.json and model.safetensors into
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

/// Describe a model, tokenizer, run, bundle or weights file
///
/// PATH may be a model folder, a run, a bundle, tokenizer.json, spm.model, a .safetensors file or a
/// pytorch_model.bin. Only the headers of weights are read, so this is fast for any size. All shards
/// of a bundle are read and checked.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// File or folder
    pub path: PathBuf,

    /// Show the ids and tokens of this text, by the tokenizer at PATH
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
}
