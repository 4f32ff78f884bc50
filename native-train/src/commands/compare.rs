//! `compare`: two runs on the same rows, and what may be concluded.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use shared::LabelSet;
use shared::words::{counted, listed};

use super::{
    evaluate::{Judged, of_file},
    stdout::print,
};
use crate::{
    cli::CompareArgs,
    data::{Groups, refuse_pipe, text_key},
    error::UserError,
    evaluation::{
        Decisions,
        comparison::{Answers, Comparison, largest_moves},
        decide,
        table::comparison_table,
    },
    grid::{Grid, Probabilities, Targets},
    progress::Progress,
    scored_rows::ScoredRows,
    threads,
};

/// The rows that both runs are compared on, and what each says of them.
struct Pair {
    labels: LabelSet,
    ids: Vec<String>,
    texts: Vec<String>,
    targets: Targets,
    probabilities: [Probabilities; 2],
    decisions: [Decisions; 2],
}

/// Prints the scores of both runs, their differences, and a sentence that says what may be concluded.
///
/// # Errors
/// If the runs have other labels or other rows, or a file is missing or damaged.
pub fn run(args: &CompareArgs, progress: &mut Progress) -> Result<()> {
    threads::set(args.threads)?;
    let pair = match &args.input {
        Some(input) => on_file(args, input, progress)?,
        None => on_held_out_rows(args, progress)?,
    };
    let groups = Groups::of_equal(&pair.texts);
    let [a, b] = [0, 1].map(|run| Answers {
        probabilities: &pair.probabilities[run],
        decisions: &pair.decisions[run],
    });
    let comparison = Comparison::new(&pair.labels, &groups, &pair.targets, &a, &b);
    let names = [&args.a, &args.b].map(|folder| folder.display().to_string());
    let [name_a, name_b] = [names[0].as_str(), names[1].as_str()];
    if args.json {
        let mut json = serde_json::to_value(&comparison)?;
        json["conclusion"] = comparison.conclusion(name_a, name_b).into();
        return print(&(serde_json::to_string_pretty(&json)? + "\n"));
    }
    let moves = largest_moves(&groups, &pair.targets, a.probabilities, b.probabilities, args.top);
    let rows = (&pair.ids[..], &pair.texts[..]);
    print(&comparison_table(&comparison, [name_a, name_b], &pair.labels, rows, &moves))
}

/// The rows that both runs have held out, at thresholds that were tuned on the other folds.
fn on_held_out_rows(args: &CompareArgs, progress: &Progress) -> Result<Pair> {
    let a = ScoredRows::read(&args.a, None, progress)?;
    let b = ScoredRows::read(&args.b, None, progress)?;
    let columns = columns_of(args, &a.labels, &b.labels)?;
    let targets_b = reordered(&b.targets, &columns);
    let Common { rows_a, rows_b, other_labels } = Common::of((&a, &a.targets), (&b, &targets_b));
    let all = rows_a.len() == a.texts.len() && rows_b.len() == b.texts.len();
    if rows_a.is_empty() || !(all || args.shared_rows) {
        let common = [rows_a.len(), a.texts.len(), b.texts.len(), other_labels];
        return Err(other_rows(args, common).into());
    }
    if !all {
        progress.note(format_args!(
            "compared on {} that both runs have held out",
            counted(rows_a.len(), "row")
        ));
    }
    let of = |values: &[String]| rows_a.iter().map(|&row| values[row].clone()).collect();
    Ok(Pair {
        ids: of(&a.ids),
        texts: of(&a.texts),
        targets: a.targets.select(&rows_a),
        probabilities: [
            a.probabilities.select(&rows_a),
            reordered(&b.probabilities, &columns).select(&rows_b),
        ],
        decisions: [
            a.honest_decisions().select(&rows_a),
            reordered(&b.honest_decisions(), &columns).select(&rows_b),
        ],
        labels: a.labels,
    })
}

/// The rows of a labelled file, at each run's own thresholds.
fn on_file(args: &CompareArgs, input: &Path, progress: &mut Progress) -> Result<Pair> {
    refuse_pipe(input, "it is read for each run")?;
    let mut judge = |run: &Path| {
        let evaluate = of_file(run, input, args.device.clone(), args.threads);
        Judged::by(&evaluate, progress)
    };
    let (a, b) = (judge(&args.a)?, judge(&args.b)?);
    let columns = columns_of(args, &a.dataset.labels, &b.dataset.labels)?;
    let decisions_b = decide(&b.probabilities, &b.thresholds);
    Ok(Pair {
        decisions: [decide(&a.probabilities, &a.thresholds), reordered(&decisions_b, &columns)],
        probabilities: [a.probabilities, reordered(&b.probabilities, &columns)],
        labels: a.dataset.labels,
        ids: a.dataset.ids,
        texts: a.dataset.texts,
        targets: a.dataset.targets,
    })
}

/// The column of B that each label of A has.
fn columns_of(args: &CompareArgs, a: &LabelSet, b: &LabelSet) -> Result<Vec<usize>, UserError> {
    let only = |of: &LabelSet, other: &LabelSet| -> Vec<String> {
        of.names().iter().filter(|name| !other.names().contains(name)).cloned().collect()
    };
    let differing: Vec<String> = [(&args.a, only(a, b)), (&args.b, only(b, a))]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(run, names)| format!("only `{}` has {}", run.display(), listed(&names)))
        .collect();
    if !differing.is_empty() {
        return Err(UserError::new(format!(
            "the runs have other labels: {}",
            differing.join("; ")
        ))
        .hint("compare runs with the same labels"));
    }
    let place = |name| b.names().iter().position(|other| other == name);
    Ok(a.names().iter().filter_map(place).collect())
}

/// A grid with its columns in another order.
fn reordered<T: Copy>(grid: &Grid<T>, columns: &[usize]) -> Grid<T> {
    let values = grid.rows().flat_map(|row| columns.iter().map(|&column| row[column]));
    Grid::new(columns.len(), values.collect())
}

/// The rows of two runs with equal texts and labels, in the order of A. Of texts that repeat, the first is the first's.
struct Common {
    rows_a: Vec<usize>,
    rows_b: Vec<usize>,
    /// The rows with equal texts that have other labels.
    other_labels: usize,
}

impl Common {
    fn of(
        (a, targets_a): (&ScoredRows, &Targets),
        (b, targets_b): (&ScoredRows, &Targets),
    ) -> Self {
        let mut rows_of_text: HashMap<String, Vec<usize>> = HashMap::new();
        for (row, text) in b.texts.iter().enumerate().rev() {
            rows_of_text.entry(text_key(text)).or_default().push(row);
        }
        let mut common = Self { rows_a: Vec::new(), rows_b: Vec::new(), other_labels: 0 };
        for (row_a, text) in a.texts.iter().enumerate() {
            let Some(row_b) = rows_of_text.get_mut(&text_key(text)).and_then(Vec::pop) else {
                continue;
            };
            if targets_a.row(row_a) == targets_b.row(row_b) {
                common.rows_a.push(row_a);
                common.rows_b.push(row_b);
            } else {
                common.other_labels += 1;
            }
        }
        common
    }
}

fn other_rows(args: &CompareArgs, [common, of_a, of_b, other_labels]: [usize; 4]) -> UserError {
    let (a, b) = (args.a.display(), args.b.display());
    let labels = match other_labels {
        0 => String::new(),
        rows => format!("; {} more with other labels", counted(rows, "row")),
    };
    let message = format!(
        "the runs have scored other rows: {} in common, of {of_a} of `{a}` and {of_b} of `{b}`{labels}",
        counted(common, "row")
    );
    UserError::new(message).hint(if common == 0 {
        "pass a labelled file that neither was trained on as `--input FILE`"
    } else {
        "pass `--shared-rows` to compare on the rows in common, or a labelled file that neither was trained on as \
         `--input FILE`"
    })
}
