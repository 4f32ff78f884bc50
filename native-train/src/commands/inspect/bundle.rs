//! The description of a bundle, which is read as by a browser, with every shard checked.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use shared::bundle::{Manifest, Verification};
use shared::words::{bytes, counted, joined};

use crate::error::UserError;
use crate::export::folder::{integrity, read_manifest, read_shard};

/// Describes the bundle in a folder.
///
/// # Errors
/// If the manifest cannot be used, or a shard is missing or damaged.
pub fn describe(folder: &Path) -> Result<String> {
    let manifest = read_manifest(folder)?;
    for shard in manifest.shards() {
        read_shard(folder, shard).map_err(|error| {
            let message = format!("bundle `{}`: {error:#}", folder.display());
            UserError::new(message).hint("copy the file again, or export the run again")
        })?;
    }
    let mut answer = format!("bundle `{}`: {}\n", folder.display(), manifest.title());
    for line in lines(&manifest) {
        writeln!(answer, "  {line}")?;
    }
    writeln!(answer, "  integrity, for pages on other sites: {}", integrity(folder)?)?;
    Ok(answer)
}

fn lines(manifest: &Manifest) -> Vec<String> {
    let (config, provenance, scores) =
        (manifest.config(), manifest.provenance(), manifest.scores());
    let labels = manifest.labels().names().iter().zip(manifest.thresholds().values());
    let labels: Vec<String> = labels.map(|(label, t)| format!("{label} {t:.2}")).collect();
    // Of the honest score.
    let interval = scores
        .macro_f1_interval
        .map_or_else(String::new, |of| format!(" (95% interval {:.4} to {:.4})", of.low, of.high));
    let mut lines = vec![
        format!("license: {}", manifest.license().unwrap_or("not stated")),
        format!(
            "{} of {}, trained from {}, seed {}",
            match &provenance.averaged_folds {
                None if provenance.final_model => "a final model beside the folds".to_owned(),
                None if manifest.final_model().is_some() => {
                    format!("folds {} and a final model", joined(manifest.fold_numbers()))
                }
                None => format!("folds {}", joined(manifest.fold_numbers())),
                Some(folds) => format!("the averaged weights of folds {}", joined(folds)),
            },
            provenance.run_folds,
            provenance.model,
            provenance.seed
        ),
        format!(
            "{} layers x {}, up to {} tokens, as {}",
            config.num_hidden_layers,
            config.hidden_size,
            manifest.max_len(),
            manifest.encoding()
        ),
        format!("thresholds: {}", labels.join(", ")),
        format!(
            "{}, {}; a loaded fold takes about {}",
            counted(manifest.shards().len(), "shard"),
            bytes(manifest.download_bytes()),
            bytes(manifest.resident_bytes())
        ),
        format!(
            "cross-validated macro-F1 at 0.5: {:.4}{}",
            scores.macro_f1_at_half,
            if scores.macro_f1_cross_fitted.is_none() { &interval } else { "" }
        ),
    ];
    lines.extend(beginning(manifest));
    lines.extend(hot_rows(manifest));
    if let Some(honest) = scores.macro_f1_cross_fitted {
        lines.push(format!(
            "cross-validated macro-F1 with cross-fitted thresholds: {honest:.4}{interval}"
        ));
    }
    lines.extend(verification(manifest));
    lines
}

/// A line on what a page loads first and what it asks about, if the bundle has a final model beside its folds.
pub fn beginning(manifest: &Manifest) -> Option<String> {
    let first = manifest.final_bytes()?;
    Some(format!(
        "a page answers by the final model at first, which is {}, and asks before it loads the {}: {} more",
        bytes(first),
        counted(manifest.folds(), "fold"),
        bytes(manifest.download_bytes() - first)
    ))
}

/// A line on hot rows, if the bundle has them.
pub fn hot_rows(manifest: &Manifest) -> Option<String> {
    let hot_rows = manifest.hot_rows()?;
    Some(format!(
        "the first model answers after {}; texts with an id from {hot_rows} on wait for the rest",
        bytes(manifest.first_answer_bytes())
    ))
}

/// The lines of a bundle's comparison with its run; none if it was not compared.
pub fn verification(manifest: &Manifest) -> Vec<String> {
    let Some(found) = manifest.verification() else { return Vec::new() };
    let provenance = manifest.provenance();
    // Of a model that has held out no rows.
    let is_one = provenance.averaged_folds.is_some() || provenance.final_model;
    let mut lines = comparison(found, is_one);
    if let Some(found) = manifest.final_verification() {
        lines.push("the final model:".to_owned());
        lines.extend(comparison(found, true).into_iter().map(|line| format!("  {line}")));
    }
    lines
}

fn comparison(found: &Verification, is_one: bool) -> Vec<String> {
    let mut lines = vec![
        format!(
            "probabilities differ from the run's by at most {:.1e} (limit {:.0e}), a single fold's by {:.1e}",
            found.probability_difference, found.tolerance, found.fold_probability_difference
        ),
        format!(
            "on average they differ by {:.1e}, a single fold's by {:.1e}",
            found.mean_probability_difference, found.mean_fold_probability_difference
        ),
        format!("logits differ by at most {:.1e}", found.logit_difference),
    ];
    lines.push(match is_one {
        false => format!(
            "macro-F1 at the thresholds, on {} held-out rows: {:.4}, the run's is {:.4}",
            found.rows, found.macro_f1_bundle, found.macro_f1_run
        ),
        true => format!(
            "macro-F1 at the thresholds, on {} training texts: {:.4}, of the same weights in f32 {:.4}; \
             every text was seen in training, so this says nothing about how good the model is",
            found.rows, found.macro_f1_bundle, found.macro_f1_run
        ),
    });
    lines.push(ensemble(found, is_one));
    lines
}

/// The line that compares the bundle's ensemble with the run's.
fn ensemble(found: &Verification, is_one: bool) -> String {
    let scores = &found.ensemble;
    let (whose, texts) = match (is_one, scores.seen_in_training) {
        (true, true) => ("the one model", "training texts"),
        (true, false) => ("the one model", "other texts"),
        (false, true) => ("the ensemble", "training texts"),
        (false, false) => ("the ensemble", "other texts"),
    };
    let mut line = format!(
        "{whose} decides {:.2}% as the run's ensemble does, on {} {texts}",
        100.0 * scores.agreement,
        scores.rows
    );
    if let (Some(run), Some(bundle)) = (scores.macro_f1_run, scores.macro_f1_bundle)
        && !scores.seen_in_training
    {
        line += &format!("; macro-F1 there {bundle:.4}, the run's is {run:.4}");
    }
    line
}
