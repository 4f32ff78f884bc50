//! Binary cross-entropy of logits, averaged over all elements, as PyTorch's `BCEWithLogitsLoss`.

use candle_core::Tensor;

use super::{scalar, tensor, values};
use crate::Result;

/// The mean loss and its gradient by the logits; `targets` are 0 or 1, in the logits' order.
pub fn binary_cross_entropy(logits: &Tensor, targets: &[f32]) -> Result<(f32, Tensor)> {
    let z = values(logits)?;
    let count = z.len() as f32;
    let gradient = z.iter().zip(targets).map(|(&z, &t)| (scalar::sigmoid(z) - t) / count).collect();
    Ok((mean_loss(&z, targets), tensor(gradient, logits.shape())?))
}

/// The mean loss alone.
///
/// Written as max(z, 0) - z t + ln(1 + e^-|z|): finite for every finite logit.
pub fn mean_loss(logits: &[f32], targets: &[f32]) -> f32 {
    assert_eq!(logits.len(), targets.len(), "one target a logit");
    let losses = logits.iter().zip(targets).map(|(&z, &t)| {
        let (z, t) = (f64::from(z), f64::from(t));
        z.max(0.0) - z * t + (-z.abs()).exp().ln_1p()
    });
    (losses.sum::<f64>() / logits.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_gradient;
    use super::*;

    #[test]
    fn is_finite_at_huge_logits_and_right_at_zero() {
        let logits = tensor(vec![200.0, -200.0, 0.0, 1e6], (2, 2)).unwrap();
        let (loss, gradient) = binary_cross_entropy(&logits, &[0.0, 1.0, 1.0, 1.0]).unwrap();
        let expected = (200.0 + 200.0 + std::f32::consts::LN_2 + 0.0) / 4.0;
        assert!((loss - expected).abs() < 1e-4, "{loss}");
        assert_eq!(*values(&gradient).unwrap(), [0.25, -0.25, -0.125, 0.0]);
    }

    #[test]
    fn gradient_is_the_slope() {
        let targets = [1.0, 0.0, 0.0];
        let at = [0.3, -1.2, 2.0];
        let run = |z: &[f32]| {
            binary_cross_entropy(&tensor(z.to_vec(), (1, 3)).unwrap(), &targets).unwrap()
        };
        assert_gradient(&at, &values(&run(&at).1).unwrap(), |z| f64::from(run(z).0));
    }
}
