//! The flags of `report`, `audit` and `compare`: a run as a page, what it says of its data, and two runs beside each other.

use std::path::PathBuf;

use clap::Args;

use super::examples::{AUDIT_EXAMPLES, COMPARE_EXAMPLES, REPORT_EXAMPLES};
use crate::config::DeviceChoice;

/// Write the report of a run, one HTML file: RUN/report.html
///
/// Every training writes it at its end. It holds the scores with their 95% intervals, for each label the curves
/// of precision, recall and F1 over the threshold and how far its probabilities can be believed, learning
/// curves, the texts that the models get most wrong, and the labels worth a second look. It has no scripts and
/// asks for nothing from the network.
///
/// With --input it is about a labelled file that the run was not trained on: all folds label it, their mean is
/// scored at the run's thresholds, and decisions are scored by how many folds agree. Rows whose text is in the
/// training file are counted, and scores without them are given.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    /// Folder of the run
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// Labelled file to report on instead of the rows that the run has held out
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub input: Option<PathBuf>,

    /// File to write with --input [default: RUN/report-NAME.html, after the input's name]
    #[arg(long, value_name = "FILE", requires = "input", display_order = 2)]
    pub output: Option<PathBuf>,

    /// File that the run was trained on [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 3)]
    pub train_csv: Option<PathBuf>,

    /// Device for --input: auto, cpu, cuda or cuda:N (the N-th GPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 4)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    #[arg(long, value_name = "N", display_order = 5)]
    pub threads: Option<usize>,
}

/// Find labels of the training file that are probably wrong
///
/// Each row is judged by the model that has not seen it. Suspects are labels of which that model is confident
/// that the other is true (confident learning). Texts that are equal, or nearly so, and have other labels are
/// found as well. Nothing is changed: look at the findings, correct a copy of the file, and train on that.
#[derive(Debug, Args)]
#[command(after_help = AUDIT_EXAMPLES)]
pub struct AuditArgs {
    /// Folder of the run
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// CSV to write with all findings: how each was found, id, text, label, given, suggested, score, other_id
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub output: Option<PathBuf>,

    /// Findings of each kind to print
    #[arg(long, value_name = "N", default_value_t = 20, display_order = 2)]
    pub top: usize,

    /// Print JSON instead of a table, with all findings
    #[arg(long, display_order = 3)]
    pub json: bool,

    /// File that the run was trained on [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 4)]
    pub train_csv: Option<PathBuf>,
}

/// Compare two runs on the same rows, and say what may be concluded
///
/// Takes the rows that both runs have held out, matched by text, with thresholds tuned on the other folds, or
/// the rows of a labelled file. The difference of macro-F1 and of each label has a 95% interval (bootstrap over
/// equal texts) and a p-value (permutation). That is the chance of the texts; how far two trainings of the same
/// settings lie apart, only another seed can tell.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// Folder of the run to compare with
    #[arg(value_name = "RUN_A")]
    pub a: PathBuf,

    /// Folder of the run that may be better
    #[arg(value_name = "RUN_B")]
    pub b: PathBuf,

    /// Labelled file that both runs are scored on, at their own thresholds [default: the rows that both have held out]
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub input: Option<PathBuf>,

    /// Compare on the rows that both runs have, if they were not trained on the same
    #[arg(long, conflicts_with = "input", display_order = 2)]
    pub shared_rows: bool,

    /// Rows to print of those that moved most
    #[arg(long, value_name = "N", default_value_t = 20, display_order = 3)]
    pub top: usize,

    /// Print JSON instead of a table
    #[arg(long, display_order = 4)]
    pub json: bool,

    /// Device for --input: auto, cpu, cuda or cuda:N (the N-th GPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto", display_order = 5)]
    pub device: DeviceChoice,

    /// CPU threads [default: the number of cores]
    #[arg(long, value_name = "N", display_order = 6)]
    pub threads: Option<usize>,
}
