//! The command line and its help, as clap types.

mod examples;

use std::path::PathBuf;

use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use shared::bundle::Encoding;
use shared::csv::Delimiter;

use examples::{
    CLUSTER_EXAMPLES, DISTIL_EXAMPLES, DOCTOR_EXAMPLES, EVALUATE_EXAMPLES, EXAMPLES,
    EXPORT_EXAMPLES, GATHER_EXAMPLES, INSPECT_EXAMPLES, PREDICT_EXAMPLES, SHRINK_EXAMPLES,
    TRAIN_EXAMPLES,
};

use crate::{
    config::{DeviceChoice, Settings, ShrinkSettings},
    export::{HotRows, source::FoldChoice},
};

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
    Export(ExportArgs),
    Inspect(InspectArgs),
    Shrink(ShrinkArgs),
    Doctor(DoctorArgs),
    #[command(hide = true)]
    Pack(PackArgs),
}

/// Train an ensemble: CSV in; models, thresholds, scores and predictions out
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

/// Score a run whose folds were trained by several processes
///
/// Where `train --only-fold` trains the folds of one run, on one machine or on many that share its folder, this
/// writes what one training would have left: out-of-fold predictions, thresholds, scores, and predictions for the
/// test file. It says which folds are missing, and leaves them out.
#[derive(Debug, Args)]
#[command(after_help = GATHER_EXAMPLES)]
pub struct GatherArgs {
    /// Folder of the run
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// CSV with texts to label, if the run began without one [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub test_csv: Option<PathBuf>,

    /// Device: auto, cpu, cuda or cuda:N (the N-th GPU) [default: the run's setting]
    #[arg(long, value_name = "DEVICE", display_order = 2)]
    pub device: Option<DeviceChoice>,

    /// CPU threads [default: the run's setting]
    #[arg(long, value_name = "N", display_order = 3)]
    pub threads: Option<usize>,
}

/// Print the jobs that train a run on a cluster
///
/// Prints a shell script that submits two jobs: one with a task for each fold, of which each runs `train
/// --only-fold`, and one that gathers the results (`gather`) when all folds are trained. Tasks that are stopped
/// save their state and are started again. Nothing is submitted by this command.
#[derive(Debug, Args)]
#[command(after_help = CLUSTER_EXAMPLES)]
pub struct ClusterArgs {
    /// Scheduler of the cluster
    #[arg(value_name = "SCHEDULER")]
    pub scheduler: Scheduler,

    /// Option of the jobs, before the flags of `train`
    ///
    /// For both: name [default: quintet], program (command that starts this program there) [default:
    /// native-train], gpus (0 or 1 for each task) [default: 1], cpus [default: 4], memory (gigabytes) [default: 16],
    /// at-once (the most tasks at once) [default: all], grace (seconds from SIGTERM to the end) [default: 120],
    /// seeds (such as 1,2,3: a run for each, whose folder has the seed at its end). For slurm: time [default:
    /// 12:00:00], partition, account, setup (a line to run before the program). For kubernetes: image
    /// [default: quintet:latest], claim (the PersistentVolumeClaim with the data; required).
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The flags of `train`
    #[arg(value_name = "TRAIN FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub train: Vec<String>,
}

/// A cluster's scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    Slurm,
    Kubernetes,
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
    const DECIDED: [&str; 9] = [
        "labels",
        "text_column",
        "id_column",
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
        "train_csv" => told("CSV that the teacher was trained on [default: where it was]"),
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

/// Label the texts of a CSV with a trained run
///
/// Averages the probabilities of the run's models, applies its thresholds, and writes an id and a 0
/// or 1 for each label, in the order of the input. The file may have any size, as it is read in
/// chunks.
#[derive(Debug, Args)]
#[command(after_help = PREDICT_EXAMPLES)]
pub struct PredictArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,

    /// CSV to write
    #[arg(long, value_name = "FILE", display_order = 2)]
    pub output: PathBuf,

    /// Write probabilities (0 to 1) instead of 0 and 1
    #[arg(long, display_order = 3)]
    pub probabilities: bool,

    /// Write each text beside its id, so that `train` can read the file
    ///
    /// With --probabilities it is a training file for `train --soft-labels`.
    #[arg(long, display_order = 3)]
    pub with_text: bool,

    /// Label only part I of N, counted from 0, so that N processes share a file
    ///
    /// Parts are neighbouring rows. Only part 0 has a header, so `cat` puts them together, and the whole is
    /// that of one process. Parts have whole blocks of 4,096 rows: of a small file some have none.
    #[arg(long, value_name = "I/N", display_order = 4, value_parser = part)]
    pub part: Option<Part>,
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

/// Score a trained run on a labelled CSV
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

    /// CSV with the texts
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

    /// Character between the columns: comma, semicolon, tab or bar [default: found in the file]
    #[arg(long, value_name = "CHARACTER", display_order = 13)]
    pub delimiter: Option<Delimiter>,

    /// Device: auto, cpu, cuda or cuda:N (the N-th GPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 14)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    #[arg(long, value_name = "N", display_order = 15)]
    pub threads: Option<usize>,
}

/// Turn a trained run into a bundle for the browser
///
/// Writes the run's models, tokenizer, thresholds and scores as shards of at most 16 MiB and a
/// manifest.json, loads them again as a browser does, and compares their predictions for the run's
/// held-out rows with those of the run. A bundle that differs by more than its encoding allows is not
/// published, and DIR is left unchanged. An older bundle in DIR is replaced, other files are kept.
/// Writing takes a few megabytes of memory, comparing takes one model.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// Folder of the run that `train` wrote
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// Folder to write the bundle to
    #[arg(long, value_name = "DIR", display_order = 1)]
    pub output: PathBuf,

    /// Number format of the matrices: auto, or MATRICES[/WORDS][+BITS[/BITS]]
    ///
    /// MATRICES, and WORDS for the word embeddings, are f32 (exact), f16 (floats in the feed-forward
    /// matrices, int16 in the others), int16, int12, int8 (integers with a scale for each row) or int4
    /// (integers with a scale for each 128 values). With int12, int8 and int4 a browser computes with
    /// integers, which is faster. With +BITS the bundle stores the pretrained model once in these
    /// formats, and for each fold the deltas to it with 4, 2 or 1 bits for each value. The second BITS
    /// are those of the word embeddings, which otherwise are the same for all folds. `auto` measures
    /// --candidates and takes the smallest bundle within --max-f1-drop whose probabilities move by at
    /// most 0.02 on average.
    #[arg(long, value_name = "ENCODING", default_value = "int12", display_order = 2)]
    #[arg(value_parser = encoding_choice)]
    pub encoding: EncodingChoice,

    /// With `--encoding auto`: the largest loss of macro-F1 on the held-out rows
    #[arg(long, value_name = "DROP", default_value_t = 0.002, display_order = 2)]
    pub max_f1_drop: f64,

    /// With `--encoding auto`: the encodings to measure, such as int8,int8+2/2 [default: thirteen]
    ///
    /// Those that are named are all compared with the run. Of the default's, a bundle that is larger
    /// than one that will do is not.
    #[arg(long, value_name = "ENCODINGS", value_delimiter = ',', value_parser = encoding)]
    #[arg(display_order = 2)]
    pub candidates: Vec<Encoding>,

    /// Pretrained model that the run was fine-tuned from, which +BITS needs: a folder or hub id
    /// [default: the run's setting]
    #[arg(long, value_name = "MODEL", display_order = 2)]
    pub base_model: Option<String>,

    /// Rows of the word embeddings to download before a model answers: auto, all, or their number
    ///
    /// The other rows are downloaded afterwards. Only texts with rare words wait for them, and no longer
    /// than if all rows came together. Vocabularies are ordered by frequency, so the first rows serve
    /// most texts. `auto` takes the number that saves the run's texts most, if that leaves at least a
    /// quarter of the rows and 4 MiB for later, else all.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = hot_rows, display_order = 2)]
    pub hot_rows: HotRows,

    /// Export one model with the mean of the folds' weights, which is small enough for phones
    ///
    /// It cannot be cross-validated, as nearly every fold has seen each training text. With a labelled
    /// --test-csv it is scored on that file, else its agreement with the ensemble is measured. Folds
    /// that began with different random weights (`mini`) have no useful mean.
    #[arg(long, display_order = 3)]
    pub soup: bool,

    /// Folds to export: all, or their numbers, such as 0,2
    #[arg(long, value_name = "FOLDS", default_value = "all", value_parser = fold_choice)]
    #[arg(display_order = 3)]
    pub folds: FoldChoice,

    /// Export only the folds, or only the one model that `distil` taught on all rows [default: both]
    ///
    /// With both, a page answers by the final model at once and asks before it loads the folds. The final
    /// model has held out no rows, so the bundle's scores are those of the students, which learned likewise
    /// from fewer rows.
    #[arg(long, value_name = "MODELS", conflicts_with = "soup", display_order = 3)]
    pub only: Option<OnlyModels>,

    /// Title that the page shows [default: the name of the run folder]
    #[arg(long, value_name = "TEXT", display_order = 4)]
    pub title: Option<String>,

    /// License of the weights that the page shows
    #[arg(long, value_name = "TEXT", display_order = 5)]
    pub license: Option<String>,

    /// CSV that the run was trained on [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 6)]
    pub train_csv: Option<PathBuf>,

    /// CSV with texts that the run was not trained on, for comparing run and bundle; with a column for
    /// each label they are also scored [default: a sample of the training texts]
    #[arg(long, value_name = "FILE", display_order = 7)]
    pub test_csv: Option<PathBuf>,

    /// CPU threads [default: the number of cores]
    #[arg(long, value_name = "N", display_order = 13)]
    pub threads: Option<usize>,
}

/// The value of `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnlyModels {
    /// The folds
    Folds,
    /// The final model of `distil`
    Final,
}

/// The value of `--encoding`.
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
            _ => Err("use auto, all or a number of rows above 0".to_owned()),
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
        "use for example f32, f16, int16, int12, int8, int4, int8/int4 or int8+2/1".to_owned()
    })
}

fn fold_choice(text: &str) -> Result<FoldChoice, String> {
    if text == "all" {
        return Ok(FoldChoice::All);
    }
    let numbers: Option<Vec<usize>> = text.split(',').map(|number| number.parse().ok()).collect();
    numbers.map(FoldChoice::These).ok_or("use `all`, or numbers separated by commas".to_owned())
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
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 1)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    #[arg(long, value_name = "N", display_order = 2)]
    pub threads: Option<usize>,

    /// Print JSON instead of lines
    #[arg(long, display_order = 3)]
    pub json: bool,
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
