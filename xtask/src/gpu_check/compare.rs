//! Whether two trainings had the same losses.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The list `losses` of an answer.
pub fn losses(answer: &Value) -> Result<Vec<f64>> {
    let losses = answer["losses"].as_array().context("the answer has no losses")?;
    losses.iter().map(|loss| loss.as_f64().context("a loss is no number")).collect()
}

/// The largest difference of two losses of the same step, as a share of the second.
///
/// # Errors
/// If there are not as many, or one is not finite, or the difference is above `tolerance`.
pub fn each_step(ours: &[f64], theirs: &[f64], tolerance: f64) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} losses and {}", ours.len(), theirs.len());
    ensure!(!ours.is_empty(), "no losses");
    let differences = ours.iter().zip(theirs).map(|(ours, theirs)| {
        let difference = (ours - theirs).abs() / theirs.abs();
        if difference.is_nan() { f64::INFINITY } else { difference }
    });
    let (step, worst) = differences
        .enumerate()
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .expect("there are losses");
    ensure!(
        worst <= tolerance,
        "step {}: {} and {} differ by {worst:.1e}, more than at any other step and above {tolerance:.0e}",
        step + 1,
        ours[step],
        theirs[step]
    );
    Ok(worst)
}

/// The largest difference of two curves' running means, as a share of the second.
///
/// Of single steps half precision may be off either way; what must not be is that one curve leaves the other.
///
/// # Errors
/// As for [`each_step`].
pub fn curves(ours: &[f64], theirs: &[f64], window: usize, tolerance: f64) -> Result<f64> {
    let means = |losses: &[f64]| -> Vec<f64> {
        losses
            .windows(window.min(losses.len()).max(1))
            .map(|w| w.iter().sum::<f64>() / w.len() as f64)
            .collect()
    };
    each_step(&means(ours), &means(theirs), tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_step_is_told_or_refused() {
        let worst = each_step(&[1.0, 2.002], &[1.0, 2.0], 0.01).expect("close enough");
        assert!((worst - 0.001).abs() < 1e-9, "{worst}");
        let error = each_step(&[1.0, 2.1], &[1.0, 2.0], 0.01).unwrap_err().to_string();
        assert!(error.starts_with("step 2: 2.1 and 2 differ by 5.0e-2"), "{error}");
        let error = each_step(&[1.5, 2.1, 1.9], &[1.0, 2.0, 2.0], 0.01).unwrap_err().to_string();
        assert!(error.starts_with("step 1: 1.5 and 1 "), "the largest difference: {error}");
        assert!(each_step(&[1.0], &[1.0, 2.0], 0.01).is_err());
        assert!(each_step(&[f64::NAN], &[1.0], 0.01).is_err());
        assert!(each_step(&[], &[], 0.01).is_err());
    }

    #[test]
    fn noise_cancels_and_drift_does_not() {
        let f32s = [1.0; 40];
        let noisy: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 1.02 } else { 0.98 }).collect();
        assert!(each_step(&noisy, &f32s, 0.01).is_err());
        assert!(curves(&noisy, &f32s, 10, 0.001).is_ok());
        let drifting: Vec<f64> = (0..40).map(|i| 1.0 + 0.001 * f64::from(i)).collect();
        assert!(curves(&drifting, &f32s, 10, 0.02).is_err());
    }
}
