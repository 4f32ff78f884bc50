//! Reports as aligned text without colours, for a terminal or a log.

mod audit;
mod comparison;

pub use audit::audit_table;
pub use comparison::comparison_table;

use super::columns::{align, cells, figure, percent};
use super::report::{
    CrossValidation, Distillation, Evaluation, FinalModel, FoldReport, HalfAndTuned, Seconds,
    Summary,
};
use super::resampling::Interval;
use super::threshold_search::{Basis, FEW_POSITIVES};

/// The table at the end of a training, which says which scores are optimistic.
pub fn table(summary: &Summary) -> String {
    let head = match &summary.distillation {
        None => cross_validation(summary),
        Some(distillation) => comparison(summary, distillation),
    };
    [head, per_label(summary), per_fold(&summary.per_fold), notes(summary)].join("\n")
}

/// The scores of teacher and students, and what is to be expected of the final model.
fn comparison(summary: &Summary, distillation: &Distillation) -> String {
    let students = summary.cross_validation;
    let line = |who: &str, model: &str, scores: &CrossValidation| {
        let honest = scores.macro_f1_cross_fitted.map_or_else(|| "-".to_owned(), figure);
        let (half, tuned) = (figure(scores.macro_f1_at_half), figure(scores.macro_f1_tuned));
        vec![format!("{who} ({model})"), half, honest, tuned]
    };
    let mut rows = vec![
        cells(["", "at 0.5", "honest", "tuned*"]),
        line("teacher", &distillation.teacher_model, &distillation.teacher_scores),
        line("students", &summary.model, &students),
    ];
    if let Some(baseline) = &distillation.baseline {
        rows.push(line("no teacher", &summary.model, baseline));
    }
    let FinalModel { rows: learned, expected_macro_f1 } = distillation.final_model;
    format!(
        "macro-F1 over {} out-of-fold rows ({} of {} folds, {} split)\n{}\
         each student learned from the teacher's model of its own fold; honest: thresholds tuned on the other folds\n\
         final: learned from the whole ensemble on {learned} rows and texts, so none is left to score it;\n\
         \x20      what its kind reaches on rows that it has not seen is the students' {}\n",
        students.rows,
        summary.per_fold.len(),
        summary.folds,
        summary.split,
        align(&rows),
        figure(expected_macro_f1),
    )
}

/// The table of `evaluate`.
pub fn evaluation_table(evaluation: &Evaluation) -> String {
    let mut rows = vec![cells([
        "label",
        "threshold",
        "F1 at 0.5",
        "precision",
        "recall",
        "F1 tuned",
        "precision",
        "recall",
        "support",
    ])];
    let mut push = |name: &str, threshold: Option<f64>, scores: &HalfAndTuned| {
        let mut row = vec![name.to_owned(), threshold.map(short).unwrap_or_default()];
        for score in [&scores.at_half, &scores.tuned] {
            row.extend([score.f1, score.precision, score.recall].map(figure));
        }
        row.push(scores.tuned.support.to_string());
        rows.push(row);
    };
    for label in &evaluation.per_label {
        push(&label.label, Some(label.threshold), &label.scores);
    }
    push("macro", None, &evaluation.macro_average);
    push("micro", None, &evaluation.micro_average);
    format!("{} rows\n\n{}", evaluation.rows, align(&rows))
}

fn cross_validation(summary: &Summary) -> String {
    let CrossValidation {
        rows,
        macro_f1_at_half,
        macro_f1_tuned,
        macro_f1_cross_fitted,
        intervals,
    } = summary.cross_validation;
    let honest = macro_f1_cross_fitted.map_or_else(|| "needs two trained folds".to_owned(), figure);
    let line = |what: &str, score: String, interval: Option<Interval>| {
        vec![format!("  {what}"), score, interval.map_or_else(String::new, range)]
    };
    let figures = align(&[
        line("thresholds 0.5", figure(macro_f1_at_half), intervals.map(|of| of.at_half)),
        line(
            "thresholds tuned on the other folds (honest)",
            honest,
            intervals.and_then(|of| of.cross_fitted),
        ),
        line(
            "thresholds tuned on the rows they score (optimistic)",
            figure(macro_f1_tuned),
            intervals.map(|of| of.tuned),
        ),
    ]);
    format!(
        "macro-F1 over {rows} out-of-fold rows ({} of {} folds, {} split)\n{figures}",
        summary.per_fold.len(),
        summary.folds,
        summary.split,
    )
}

fn per_label(summary: &Summary) -> String {
    let mut rows = vec![cells([
        "label",
        "threshold",
        "F1 at 0.5",
        "F1 honest",
        "F1 tuned*",
        "precision*",
        "recall*",
        "support",
        "share",
    ])];
    for label in &summary.per_label {
        rows.push(vec![
            label.label.clone(),
            short(label.threshold) + doubt(label.threshold_basis),
            figure(label.f1_at_half),
            label.f1_cross_fitted.map_or_else(|| "-".to_owned(), figure),
            figure(label.f1_tuned),
            figure(label.precision_tuned),
            figure(label.recall_tuned),
            label.support.to_string(),
            percent(label.positive_rate),
        ]);
    }
    let mut table = align(&rows) + "* optimistic: tuned and scored on the same rows\n";
    if summary.per_label.iter().any(|label| !doubt(label.threshold_basis).is_empty()) {
        table += &format!(
            "? uncertain: fewer than {FEW_POSITIVES} rows have the label, or its probabilities are all low\n"
        );
    }
    table
}

/// The 95% interval of a score.
fn range(Interval { low, high }: Interval) -> String {
    format!("(95%: {low:.4} to {high:.4})")
}

/// The mark of a threshold that means little.
fn doubt(basis: Basis) -> &'static str {
    if basis == Basis::Tuned { "" } else { "?" }
}

fn per_fold(folds: &[FoldReport]) -> String {
    let epochs = folds.iter().map(|fold| fold.macro_f1_at_half.len()).max().unwrap_or(0);
    let mut header = cells(["fold", "rows", "best epoch"]);
    header.extend((1..=epochs).map(|epoch| format!("epoch {epoch}")));
    let mut rows = vec![header];
    for fold in folds {
        let mut row =
            vec![fold.fold.to_string(), fold.rows.to_string(), fold.best_epoch.to_string()];
        row.extend(fold.macro_f1_at_half.iter().copied().map(figure));
        row.resize(3 + epochs, "-".into());
        rows.push(row);
    }
    align(&rows)
        + "macro-F1 at 0.5 after each epoch. The best epoch is chosen by the rows it is scored on,\n\
           so every score above is a little optimistic.\n"
}

fn notes(summary: &Summary) -> String {
    let duplicates = &summary.duplicates.verbatim;
    let twins = duplicates.twin_in_another_fold;
    let mut notes = vec![format!(
        "duplicates: {} of {} rows have their text in another fold too ({}); {} distinct texts",
        twins.rows,
        twins.of,
        percent(twins.share),
        duplicates.distinct_texts,
    )];
    if let Some(test) = &duplicates.test {
        let known = test.rows_in_train;
        notes.push(format!(
            "            {} of {} test rows are also in the training file ({})",
            known.rows,
            known.of,
            percent(known.share),
        ));
    }
    let test = summary.truncated_texts.test;
    notes.push(format!(
        "truncated:  {} training texts{}",
        summary.truncated_texts.train,
        test.map(|texts| format!(", {texts} test texts")).unwrap_or_default(),
    ));
    notes.push(format!("time:       {}", times(&summary.seconds)));
    if let Some(bytes) = summary.peak_memory_bytes {
        notes.push(format!("memory:     {:.0} MiB at the peak", bytes as f64 / f64::from(1 << 20)));
    }
    notes.join("\n") + "\n"
}

fn times(seconds: &Seconds) -> String {
    let Seconds { setup, tokenise, train, validate, predict, files, total } = *seconds;
    let phases = [
        ("setup", setup),
        ("tokenise", tokenise),
        ("train", train),
        ("validate", validate),
        ("predict", predict),
        ("files", files),
    ];
    let phases = phases.map(|(phase, seconds)| format!("{phase} {seconds:.1} s")).join(", ");
    format!("{total:.1} s ({phases})")
}

/// A threshold: the candidates are multiples of 0.05, and others are lower.
fn short(value: f64) -> String {
    if value < 0.095 { format!("{value:.4}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use shared::{LabelSet, Thresholds};

    use super::*;
    use crate::data::{Duplicates, Folds, Groups};
    use crate::evaluation::report::{OutOfFold, TextsUsed, TruncatedTexts};
    use crate::grid::{Grid, Probabilities, Targets};

    fn labels() -> LabelSet {
        LabelSet::new(vec!["joy".into(), "überraschung".into()]).unwrap()
    }

    fn scored() -> (Targets, Probabilities) {
        let targets = vec![1, 0, 0, 1, 1, 0, 0, 0];
        (Grid::new(2, targets), Grid::new(2, vec![0.9, 0.2, 0.1, 0.3, 0.4, 0.1, 0.2, 0.22]))
    }

    fn summary(fold_of: &[usize]) -> Summary {
        let (targets, probabilities) = scored();
        let scored =
            OutOfFold::score(&labels(), &Groups::single(4), &targets, &probabilities, fold_of);
        let fold = |fold, macro_f1_at_half: &[f64], best_epoch| FoldReport {
            fold,
            rows: 2,
            macro_f1_at_half: macro_f1_at_half.to_vec(),
            best_epoch,
        };
        Summary {
            model: "mini".into(),
            seed: 42,
            versions: [("native-train".into(), "0.1.0".into())].into(),
            labels: labels(),
            rows: 4,
            split: "grouped".into(),
            folds: 2,
            cross_validation: scored.cross_validation,
            per_label: scored.per_label,
            per_fold: vec![fold(0, &[0.25, 0.5, 0.4], 2), fold(1, &[0.3333], 1)],
            distillation: None,
            duplicates: duplicates(fold_of),
            truncated_texts: TruncatedTexts { train: 1, test: Some(0) },
            seconds: Seconds {
                setup: 0.5,
                tokenise: 0.25,
                train: 61.5,
                validate: 3.0,
                predict: 1.0,
                files: 0.0,
                total: 66.25,
            },
            peak_memory_bytes: Some(300 << 20),
        }
    }

    fn duplicates(fold_of: &[usize]) -> Duplicates {
        let texts = |texts: &str| texts.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let folds = Folds::new(fold_of.to_vec(), 2);
        Duplicates::new(&texts("a b a c"), &folds, Some(&texts("c d e f g h i j")))
    }

    #[test]
    fn the_closing_table_says_which_figures_are_optimistic() {
        assert_snapshot!(table(&summary(&[0, 0, 1, 1])), @r"
        macro-F1 over 4 out-of-fold rows (2 of 2 folds, grouped split)
          thresholds 0.5                                        0.3333  (95%: 0.0000 to 0.5000)
          thresholds tuned on the other folds (honest)          0.4000  (95%: 0.0000 to 0.5000)
          thresholds tuned on the rows they score (optimistic)  1.0000  (95%: 0.5000 to 1.0000)

        label         threshold  F1 at 0.5  F1 honest  F1 tuned*  precision*  recall*  support  share
        joy               0.25?     0.6667     0.8000     1.0000      1.0000   1.0000        2  50.0%
        überraschung      0.25?     0.0000     0.0000     1.0000      1.0000   1.0000        1  25.0%
        * optimistic: tuned and scored on the same rows
        ? uncertain: fewer than 8 rows have the label, or its probabilities are all low

        fold  rows  best epoch  epoch 1  epoch 2  epoch 3
        0        2           2   0.2500   0.5000   0.4000
        1        2           1   0.3333        -        -
        macro-F1 at 0.5 after each epoch. The best epoch is chosen by the rows it is scored on,
        so every score above is a little optimistic.

        duplicates: 2 of 4 rows have their text in another fold too (50.0%); 3 distinct texts
                    1 of 8 test rows are also in the training file (12.5%)
        truncated:  1 training texts, 0 test texts
        time:       66.2 s (setup 0.5 s, tokenise 0.2 s, train 61.5 s, validate 3.0 s, predict 1.0 s, files 0.0 s)
        memory:     300 MiB at the peak
        ");
    }

    #[test]
    fn teacher_and_students_stand_beside_each_other() {
        let mut summary = summary(&[0, 0, 1, 1]);
        let scores = |macro_f1_at_half, honest| CrossValidation {
            rows: 4,
            macro_f1_at_half,
            macro_f1_tuned: 0.75,
            macro_f1_cross_fitted: Some(honest),
            intervals: None,
        };
        summary.distillation = Some(Distillation {
            teacher: "runs/base".into(),
            teacher_model: "microsoft/deberta-v3-base".into(),
            alpha: 0.7,
            temperature: 1.0,
            texts: TextsUsed { used: 2, repeated: 1, in_training_file: 0 },
            teacher_scores: scores(0.5, 0.6),
            baseline: Some(scores(0.25, 0.3)),
            final_model: FinalModel { rows: 6, expected_macro_f1: 0.4 },
        });
        let table = table(&summary);
        let head = table.split("\n\n").next().unwrap();
        assert_snapshot!(head, @r"
        macro-F1 over 4 out-of-fold rows (2 of 2 folds, grouped split)
                                             at 0.5  honest  tuned*
        teacher (microsoft/deberta-v3-base)  0.5000  0.6000  0.7500
        students (mini)                      0.3333  0.4000  1.0000
        no teacher (mini)                    0.2500  0.3000  0.7500
        each student learned from the teacher's model of its own fold; honest: thresholds tuned on the other folds
        final: learned from the whole ensemble on 6 rows and texts, so none is left to score it;
               what its kind reaches on rows that it has not seen is the students' 0.4000
        ");
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["distillation"]["final"]["expected_macro_f1"], 0.4);
        assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
    }

    #[test]
    fn a_single_fold_has_no_honest_tuned_figure() {
        let table = table(&summary(&[0; 4]));
        assert!(table.contains("(honest)          needs two trained folds"), "{table}");
        assert!(!table.contains("NaN"), "{table}");
    }

    #[test]
    fn the_evaluation_table_has_both_ways_of_deciding() {
        let (targets, probabilities) = scored();
        let thresholds = Thresholds::uniform(0.25, 2).unwrap();
        let evaluation = Evaluation::new(&labels(), &targets, &probabilities, &thresholds);
        assert_snapshot!(evaluation_table(&evaluation), @r"
        4 rows

        label         threshold  F1 at 0.5  precision  recall  F1 tuned  precision  recall  support
        joy                0.25     0.6667     1.0000  0.5000    1.0000     1.0000  1.0000        2
        überraschung       0.25     0.0000     0.0000  0.0000    1.0000     1.0000  1.0000        1
        macro                       0.3333     0.5000  0.2500    1.0000     1.0000  1.0000        3
        micro                       0.5000     1.0000  0.3333    1.0000     1.0000  1.0000        3
        ");
    }
}
