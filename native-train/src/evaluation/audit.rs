//! The labels of a training file that are worth a second look: those that the models doubt, and those in which equal or nearly
//! equal texts contradict each other.

use serde::Serialize;
use shared::LabelSet;

use super::suspects::suspects;
use crate::data::{Groups, NearPair, near_duplicates};
use crate::grid::{Probabilities, Targets};

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    pub rows: usize,
    pub per_label: Vec<LabelAudit>,
    /// By how they were found, and then the most doubtful first.
    pub findings: Vec<Finding>,
}

/// The doubts about one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelAudit {
    pub label: String,
    /// The rows that are said to have it.
    pub given: usize,
    /// Suspects that are said to have it.
    pub suspects_on: usize,
    /// Suspects that are said not to have it.
    pub suspects_off: usize,
    /// Of the texts that have it, the estimated share that is said not to.
    pub missed: f64,
    /// Of the texts that do not have it, the estimated share that is said to.
    pub added: f64,
}

/// A label of a row that is worth a second look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub found_by: FoundBy,
    pub row: usize,
    pub label: usize,
    /// What the file says; the other is suggested.
    pub given: bool,
    /// `Model`: the probability that the models give the other. `EqualText`: the share of the equal texts that say the
    /// other. `NearText`: how similar the texts are.
    pub score: f64,
    /// The row of an equal or nearly equal text that says the other.
    pub other_row: Option<usize>,
}

/// How a finding was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// Models that have not seen the row are confident of the other.
    Model,
    /// An equal text says the other.
    EqualText,
    /// A nearly equal text says the other.
    NearText,
}

impl FoundBy {
    pub const ALL: [Self; 3] = [Self::Model, Self::EqualText, Self::NearText];

    /// The name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::EqualText => "equal_text",
            Self::NearText => "near_text",
        }
    }
}

impl Audit {
    /// Looks for doubtful labels. `probabilities` are out-of-fold ones.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(
        labels: &LabelSet,
        texts: &[String],
        targets: &Targets,
        probabilities: &Probabilities,
    ) -> Self {
        let (suspects, noise) = suspects(targets, probabilities);
        let per_label = labels.names().iter().enumerate().map(|(label, name)| {
            let of_label = || suspects.iter().filter(move |suspect| suspect.label == label);
            LabelAudit {
                label: name.clone(),
                given: targets.column(label).filter(|&target| target == 1).count(),
                suspects_on: of_label().filter(|suspect| suspect.given).count(),
                suspects_off: of_label().filter(|suspect| !suspect.given).count(),
                missed: noise[label].missed,
                added: noise[label].added,
            }
        });
        let by_model = suspects.iter().map(|suspect| Finding {
            found_by: FoundBy::Model,
            row: suspect.row,
            label: suspect.label,
            given: suspect.given,
            score: suspect.score,
            other_row: None,
        });
        let mut findings: Vec<Finding> = by_model.collect();
        findings.extend(contradictions(&Groups::of_equal(texts), targets, probabilities));
        findings.extend(near_contradictions(&near_duplicates(texts), targets, probabilities));
        Self { rows: texts.len(), per_label: per_label.collect(), findings }
    }

    pub fn found_by(&self, found_by: FoundBy) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.found_by == found_by)
    }
}

/// The rows whose labels the larger part of their group contradicts; of two parts of the same size the one that the models
/// doubt.
fn contradictions(
    groups: &Groups,
    targets: &Targets,
    probabilities: &Probabilities,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for rows in groups.rows().iter().filter(|rows| rows.len() > 1) {
        for label in 0..targets.columns() {
            let is_on = |&&row: &&usize| targets.row(row)[label] == 1;
            let (on, off): (Vec<&usize>, Vec<&usize>) = rows.iter().partition(is_on);
            if on.is_empty() || off.is_empty() {
                continue;
            }
            let sum: f32 = rows.iter().map(|&row| probabilities.row(row)[label]).sum();
            let models_say_on = f64::from(sum) >= 0.5 * rows.len() as f64;
            let on_wins = on.len() > off.len() || (on.len() == off.len() && models_say_on);
            let (wrong, right) = if on_wins { (off, on) } else { (on, off) };
            found.extend(wrong.into_iter().map(|&row| Finding {
                found_by: FoundBy::EqualText,
                row,
                label,
                given: !on_wins,
                score: right.len() as f64 / rows.len() as f64,
                other_row: Some(*right[0]),
            }));
        }
    }
    sorted(found)
}

/// Of two nearly equal texts with other labels, the row that the models doubt more.
fn near_contradictions(
    pairs: &[NearPair],
    targets: &Targets,
    probabilities: &Probabilities,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for &NearPair { rows: (one, other), similarity } in pairs {
        for label in 0..targets.columns() {
            let is_on = |row: usize| targets.row(row)[label] == 1;
            if is_on(one) == is_on(other) {
                continue;
            }
            let mean = (probabilities.row(one)[label] + probabilities.row(other)[label]) / 2.0;
            let (row, other_row) =
                if is_on(one) == (mean >= 0.5) { (other, one) } else { (one, other) };
            found.push(Finding {
                found_by: FoundBy::NearText,
                row,
                label,
                given: is_on(row),
                score: similarity,
                other_row: Some(other_row),
            });
        }
    }
    sorted(found)
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|one, other| {
        other.score.total_cmp(&one.score).then((one.row, one.label).cmp(&(other.row, other.label)))
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_and_near_texts_that_contradict_each_other_are_found() {
        let labels = LabelSet::new(vec!["joy".into(), "fear".into()]).unwrap();
        let long = "What a lovely day it was when all of us went down to the river";
        let texts = ["yes", "Yes", "YES", "no", "no ", long, &format!("{long}!"), "other"]
            .map(str::to_owned);
        #[rustfmt::skip]
        let targets = Targets::new(2, vec![
            1, 0,
            1, 0,
            0, 0,
            1, 0,
            0, 0,
            1, 1,
            1, 0,
            0, 1,
        ]);
        let mut probabilities = vec![0.2; 16];
        probabilities[2 * 5 + 1] = 0.9;
        probabilities[2 * 6 + 1] = 0.8;
        let audit = Audit::new(&labels, &texts, &targets, &Probabilities::new(2, probabilities));
        let found = |found_by| -> Vec<_> {
            let findings = audit.found_by(found_by);
            findings.map(|f| (f.row, f.label, f.given, f.other_row)).collect()
        };
        // "YES" is outvoted; of "no" the models doubt the one with joy.
        assert_eq!(found(FoundBy::EqualText), [(2, 0, false, Some(0)), (3, 0, true, Some(4))]);
        assert_eq!(found(FoundBy::NearText), [(6, 1, false, Some(5))]);
        let scores: Vec<f64> = audit.found_by(FoundBy::EqualText).map(|f| f.score).collect();
        assert_eq!(scores, [2.0 / 3.0, 0.5]);
    }

    /// Prints how long 43,410 texts with 28 labels take, as GoEmotions has.
    #[test]
    #[ignore = "for figures"]
    fn the_time_of_an_audit_of_28_labels() {
        use rand::{Rng, SeedableRng};

        const ROWS: usize = 43_410;
        const LABELS: usize = 28;
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(28);
        // Words of a long tail, 12 on average.
        let mut word = || format!("w{}", (2000.0 * random.random::<f64>().powi(3)) as usize);
        let texts: Vec<String> = (0..ROWS)
            .map(|row| (0..6 + row % 13).map(|_| word()).collect::<Vec<_>>().join(" "))
            .collect();
        let targets: Vec<u8> =
            (0..ROWS * LABELS).map(|_| u8::from(random.random_bool(0.04))).collect();
        let probabilities = targets.iter().map(|&target| {
            let noise = random.random::<f32>().powi(3);
            if target == 1 { 1.0 - noise } else { noise }
        });
        let probabilities = Probabilities::new(LABELS, probabilities.collect());
        let labels = LabelSet::new((0..LABELS).map(|label| format!("l{label}")).collect()).unwrap();
        let begin = std::time::Instant::now();
        let audit = Audit::new(&labels, &texts, &Targets::new(LABELS, targets), &probabilities);
        let seconds = begin.elapsed().as_secs_f64();
        let found = FoundBy::ALL.map(|by| (by.name(), audit.found_by(by).count()));
        eprintln!("{ROWS} x {LABELS}: {seconds:.2} s, {found:?}");
        assert!(found[0].1 > 0);
    }
}
