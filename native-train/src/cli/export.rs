//! The flags of `export`, and how their values are written.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shared::bundle::Encoding;

use super::examples::EXPORT_EXAMPLES;
use crate::export::{HotRows, source::FoldChoice};

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
    /// All that are named are compared with the run. Of the default's, a bundle that is larger than one
    /// that will do is not.
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

    /// File that the run was trained on [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 6)]
    pub train_csv: Option<PathBuf>,

    /// File with texts that the run was not trained on, for comparing run and bundle; with a column for
    /// each label they are also scored [default: a sample of the training texts]
    #[arg(long, value_name = "FILE", display_order = 7)]
    pub test_csv: Option<PathBuf>,

    /// CPU threads [default: the number of cores]
    ///
    /// Cores are those that affinity, cgroup and Slurm (SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE)
    /// leave to this process.
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
