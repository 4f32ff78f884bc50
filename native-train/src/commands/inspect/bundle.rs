//! What a bundle is: read as a browser reads it, every shard checked.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use shared::bundle::{Manifest, Verification};

use crate::commands::{counted, export::megabytes};
use crate::error::UserError;
use crate::export::folder::{read_manifest, read_shard};

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
    Ok(answer)
}

fn lines(manifest: &Manifest) -> Vec<String> {
    let (config, provenance, scores) =
        (manifest.config(), manifest.provenance(), manifest.scores());
    let numbers: Vec<String> = manifest.fold_numbers().iter().map(ToString::to_string).collect();
    let labels = manifest.labels().names().iter().zip(manifest.thresholds().values());
    let labels: Vec<String> = labels.map(|(label, t)| format!("{label} {t:.2}")).collect();
    let mut lines = vec![
        format!("licence: {}", manifest.licence().unwrap_or("not stated")),
        format!(
            "folds {} of {}, trained from {}, seed {}",
            numbers.join(", "),
            provenance.run_folds,
            provenance.model,
            provenance.seed
        ),
        format!(
            "{} layers x {}, up to {} tokens, as {}",
            config.num_hidden_layers,
            config.hidden_size,
            manifest.max_len(),
            manifest.encoding().name()
        ),
        format!("thresholds: {}", labels.join(", ")),
        format!(
            "{}, {}; a loaded fold takes about {}",
            counted(manifest.shards().len(), "shard"),
            megabytes(manifest.download_bytes()),
            megabytes(manifest.resident_bytes(0))
        ),
        format!("cross-validated macro-F1 at 0.5: {:.4}", scores.macro_f1_at_half),
    ];
    if let Some(honest) = scores.macro_f1_cross_fitted {
        lines.push(format!("with thresholds of the other folds: {honest:.4}"));
    }
    lines.extend(manifest.verification().into_iter().flat_map(verification));
    lines
}

/// How a bundle compares with its run.
pub fn verification(found: &Verification) -> [String; 3] {
    [
        format!(
            "probabilities differ from the run's by at most {:.1e} (taken are {:.0e}), a single fold's by {:.1e}",
            found.probability_difference, found.tolerance, found.fold_probability_difference
        ),
        format!("logits differ by at most {:.1e}", found.logit_difference),
        format!(
            "macro-F1 at the thresholds, on {} held-out rows: {:.4}, the run's is {:.4}",
            found.rows, found.macro_f1_bundle, found.macro_f1_run
        ),
    ]
}
