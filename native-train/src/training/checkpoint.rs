//! The state of a training at the end of an epoch, or inside one if it was asked to stop, in one file: all that is needed to
//! continue as if nothing had happened. Random numbers are not in it, as `rng` derives them from the step.
//!
//! It is a safetensors file of `weights.NAME`, `moments.first.NAME` (`exp_avg`),
//! `moments.second.NAME` (`exp_avg_sq`), and `best.NAME` unless these weights are the best, or none are yet. Its
//! metadata holds the [`Position`].

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shared::kernels::grad_scaler::ScalerState;

use crate::run::files;
use crate::run::tensors::{self, Tensors};

const METADATA_KEY: &str = "quintet_checkpoint";

/// The state at a position.
pub struct Checkpoint {
    pub position: Position,
    pub weights: Tensors,
    /// AdamW's moments, called `first.NAME` and `second.NAME`.
    pub moments: Tensors,
    /// The weights of the best epoch; none before the first epoch has ended.
    pub best: Tensors,
}

/// The point that a training has reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Whole epochs done.
    pub epochs: usize,
    /// Optimizer steps done.
    pub steps: usize,
    /// Whether some of the steps are of an epoch that is not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside_epoch: bool,
    /// The steps, counted from 0, that changed no weight, because a gradient was not finite.
    pub skipped_steps: Vec<usize>,
    #[serde(rename = "optimizer")]
    pub scaler: ScalerState,
    /// The epoch, counted from 1, whose weights are the best so far; 0 before the first has ended. What they reached stands in metrics.jsonl.
    pub best_epoch: usize,
    /// The length of metrics.jsonl at this point.
    pub log_bytes: u64,
}

impl Position {
    /// Whether the weights here are the best.
    fn is_best(&self) -> bool {
        self.best_epoch == self.epochs && !self.inside_epoch
    }
}

impl Checkpoint {
    /// Replaces the file in one step, so that a reader finds the old state or the new one.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let position = serde_json::to_string(&self.position).expect("plain numbers");
        let metadata = [(METADATA_KEY.to_owned(), position)].into();
        let mut groups = vec![("weights", &self.weights), ("moments", &self.moments)];
        if !self.position.is_best() {
            groups.push(("best", &self.best));
        }
        let prefixed = groups.into_iter().flat_map(|(group, tensors)| {
            tensors.iter().map(move |(name, tensor)| (format!("{group}.{name}"), tensor.clone()))
        });
        tensors::write(path, metadata, &prefixed.collect())
    }

    /// # Errors
    /// If the file cannot be read or is no checkpoint.
    pub fn load(path: &Path) -> Result<Self> {
        let (metadata, tensors) = tensors::read(path)?;
        let position = metadata
            .get(METADATA_KEY)
            .ok_or_else(|| files::damaged(path, "its metadata lacks the training's position"))?;
        let position: Position =
            serde_json::from_str(position).map_err(|error| files::damaged(path, error))?;

        let [mut weights, mut moments, mut best] = [(); 3].map(|()| Tensors::new());
        for (name, tensor) in tensors {
            let Some((group, name)) = name.split_once('.') else { continue };
            let group = match group {
                "weights" => &mut weights,
                "moments" => &mut moments,
                _ => &mut best,
            };
            group.insert(name.to_owned(), tensor);
        }
        if position.is_best() {
            best.clone_from(&weights);
        }
        Ok(Self { position, weights, moments, best })
    }
}

/// Removes the checkpoint of a training that has ended.
///
/// # Errors
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_file(path)
            .with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written when the best macro-F1 stood here as well as in the log.
    #[test]
    fn the_position_of_an_older_release_is_read() {
        let older = r#"{"epochs":2,"steps":8,"skipped_steps":[],"optimizer":{"scale":1.0,"clean_steps":0,"updates":8},
            "best_epoch":1,"best_macro_f1":0.25,"log_bytes":100}"#;
        let scaler = serde_json::from_str::<serde_json::Value>(older).unwrap()["optimizer"].clone();
        let scaler: ScalerState = serde_json::from_value(scaler).unwrap();
        let (skipped_steps, log_bytes) = (Vec::new(), 100);
        let expected = Position {
            epochs: 2,
            steps: 8,
            inside_epoch: false,
            skipped_steps,
            scaler,
            best_epoch: 1,
            log_bytes,
        };
        assert_eq!(serde_json::from_str::<Position>(older).unwrap(), expected);
    }
}
