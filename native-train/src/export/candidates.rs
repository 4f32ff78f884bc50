//! The choice of an encoding: each candidate is written and compared with the run, and the smallest bundle that is hardly
//! worse is kept.

use anyhow::Result;
use shared::bundle::{Encoding, Manifest, Verification};

use super::BundleFolder;
use super::verify::{Found, macro_f1_drop};
use crate::error::UserError;

/// The encodings that are tried unless others are named, from the most likely to be chosen. What is larger than one that will
/// do need not be compared.
const USUAL: [&str; 13] = [
    "int8+4/4",
    "int8",
    "int4+4/4",
    "int8/int4+4/4",
    "int8+2/2",
    "int4+2/2",
    "int8/int4+2/2",
    "int8/int4+1/2",
    "int8+1",
    "int4",
    "int8/int4",
    "int12",
    "int16",
];

/// The most that the probabilities of single folds may move on average. A bundle that moves them more is another model: its
/// score may be as good, or better by chance, but thresholds were tuned for the run's models.
const MOST_MOVED: f64 = 0.02;

/// A bundle that was written, and may be published if it was compared.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub manifest: Manifest,
    /// `None` if it was not compared with the run.
    pub found: Option<Found>,
}

impl Candidate {
    fn will_do(&self, max_f1_drop: f64) -> bool {
        let is_near = |found: &Verification| {
            macro_f1_drop(found) <= max_f1_drop
                && found.mean_fold_probability_difference <= MOST_MOVED
        };
        self.found.as_ref().is_some_and(|found| found.all().all(is_near))
    }
}

pub fn usual() -> Vec<Encoding> {
    USUAL.iter().map(|name| name.parse().expect("an encoding")).collect()
}

/// Writes each encoding with `measure`, which compares it with the run unless it has as many bytes as the smallest candidate
/// that will do, or more. Returns the candidates in that order with the index of the chosen one. The other bundles are
/// removed from the folder.
///
/// # Errors
/// Those of `measure`; if every candidate lowers macro-F1 by more than `max_f1_drop` or moves probabilities by too much.
pub fn choose(
    encodings: &[Encoding],
    max_f1_drop: f64,
    folder: &mut BundleFolder,
    mut measure: impl FnMut(Encoding, Option<u64>, &mut BundleFolder) -> Result<Candidate>,
) -> Result<(Vec<Candidate>, usize)> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut best: Option<usize> = None;
    for &encoding in encodings {
        let least = best.map(|best| candidates[best].manifest.download_bytes());
        let new = measure(encoding, least, folder)?;
        let bytes = new.manifest.download_bytes();
        let is_better = new.will_do(max_f1_drop) && least.is_none_or(|least| bytes < least);
        candidates.push(new);
        let place = candidates.len() - 1;
        let loser = if is_better { best.replace(place) } else { Some(place) };
        if let Some(loser) = loser {
            let kept = best.map(|best| &candidates[best].manifest);
            folder.discard(&candidates[loser].manifest, kept);
        }
    }
    match best {
        Some(best) => Ok((candidates, best)),
        None => Err(none_will_do(&candidates, max_f1_drop).into()),
    }
}

fn none_will_do(candidates: &[Candidate], max_f1_drop: f64) -> UserError {
    let moved = |found: &Verification| found.mean_fold_probability_difference;
    let compared = candidates
        .iter()
        .filter_map(|it| Some((it.manifest.encoding(), &it.found.as_ref()?.models)));
    let nearest = compared.min_by(|(_, a), (_, b)| moved(a).total_cmp(&moved(b)));
    let hint = nearest.map_or_else(
        || "name encodings without deltas as `--candidates`".to_owned(),
        |(encoding, found)| {
            format!(
                "{encoding} is the nearest: macro-F1 {:.4} lower, probabilities moved by {:.1e}; \
                 `--candidates int16` or `f32` is nearer still",
                macro_f1_drop(found),
                moved(found)
            )
        },
    );
    UserError::new(format!(
        "every candidate lowers macro-F1 by more than {max_f1_drop} or moves probabilities by more than \
         {MOST_MOVED} on average"
    ))
    .hint(hint)
}

/// A table of all candidates, with a mark at the chosen one.
pub fn table(candidates: &[Candidate], chosen: usize) -> String {
    let head = [
        "encoding",
        "MB",
        "macro-F1",
        "drop",
        "folds' mean",
        "ensemble",
        "drop",
        "mean |dp|",
        "agree",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(candidates.iter().enumerate().map(|(place, Candidate { manifest, found })| {
        let mark = if place == chosen { " *" } else { "" };
        let mut row = vec![
            format!("{}{mark}", manifest.encoding()),
            format!("{:.1}", manifest.download_bytes() as f64 / 1e6),
        ];
        match found {
            Some(found) => row.extend(figures(&found.models)),
            None => row.resize(head.len(), "-".to_owned()),
        }
        row
    }));
    crate::evaluation::columns::align(&rows)
}

/// What the comparison found, in the order of the table's columns.
fn figures(found: &Verification) -> [String; 7] {
    let folds = found.folds.iter().map(|fold| fold.macro_f1_bundle).sum::<f64>()
        / found.folds.len().max(1) as f64;
    let ensemble = &found.ensemble;
    let figure = |score: Option<f64>| score.map_or("-".to_owned(), |score| format!("{score:.4}"));
    let ensemble_drop =
        ensemble.macro_f1_run.zip(ensemble.macro_f1_bundle).map(|(run, bundle)| run - bundle);
    [
        format!("{:.4}", found.macro_f1_bundle),
        format!("{:.4}", macro_f1_drop(found)),
        format!("{folds:.4}"),
        figure(ensemble.macro_f1_bundle),
        figure(ensemble_drop),
        format!("{:.1e}", found.mean_fold_probability_difference),
        format!("{:.2}%", 100.0 * ensemble.agreement),
    ]
}
