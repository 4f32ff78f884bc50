//! Binary cross-entropy of logits, averaged over all elements, as PyTorch's `BCEWithLogitsLoss`.

use candle_core::Tensor;

use super::grad_scaler::{GradScaler, LossScale};
use super::{Target, cuda, scalar, tensor_in, values};
use crate::Result;

/// The gradient of the scaled mean loss by the logits, in their shape and format; the mean itself,
/// unscaled, goes to `loss`, f32 `[1]`.
///
/// `targets` are from 0 to 1, f32, shaped as the logits. The mean is over `elements` elements: those of all
/// batches whose gradients one optimizer step adds up, of which this may be one.
///
/// # Errors
/// If a tensor is not contiguous or not of floats.
pub fn bce_with_logits_backward(
    logits: &Tensor,
    targets: &Tensor,
    elements: usize,
    scaler: &GradScaler,
    loss: &Target,
) -> Result<Tensor> {
    let scale = match scaler.loss_scale() {
        LossScale::Host(scale) => scale as f32,
        LossScale::Device(scale) => {
            return cuda::loss::bce_with_logits_backward(logits, targets, elements, scale, loss);
        }
    };
    let (z, targets) = (values(logits)?, values(targets)?);
    let count = elements as f32;
    let gradient = z.iter().zip(&*targets).map(|(&z, &t)| (scalar::sigmoid(z) - t) / count * scale);
    loss.put(&[(total_loss(&z, &targets) / elements as f64) as f32])?;
    tensor_in(logits.dtype(), gradient.collect(), logits.shape())
}

/// The mean loss of logits and their targets.
///
/// Each is computed as max(z, 0) - z t + ln(1 + e^-|z|): finite for every finite logit.
pub fn mean_loss(logits: &[f32], targets: &[f32]) -> f32 {
    (total_loss(logits, targets) / logits.len() as f64) as f32
}

fn total_loss(logits: &[f32], targets: &[f32]) -> f64 {
    assert_eq!(logits.len(), targets.len(), "one target a logit");
    logits.iter().zip(targets).map(|(&z, &t)| loss(z, t)).sum()
}

/// The loss of one logit.
pub(super) fn loss(logit: f32, target: f32) -> f64 {
    let (z, t) = (f64::from(logit), f64::from(target));
    z.max(0.0) - z * t + (-z.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_gradient, target};
    use super::super::{WriteMode, tensor};
    use super::*;
    use candle_core::Device;

    fn run(z: &[f32], targets: &[f32], scale: f64) -> (f32, Vec<f32>) {
        let scaler = GradScaler::new(scale, None, &Device::Cpu).unwrap();
        let (loss, shape) = (target(1), (1, z.len()));
        let [logits, targets] = [z, targets].map(|x| tensor(x.to_vec(), shape).unwrap());
        let gradient =
            bce_with_logits_backward(&logits, &targets, z.len(), &scaler, &loss).unwrap();
        let gradient = values(&gradient).unwrap().to_vec();
        (values(&loss.tensor).unwrap()[0], gradient)
    }

    #[test]
    fn is_finite_at_huge_logits_and_right_at_zero() {
        let (loss, gradient) = run(&[200.0, -200.0, 0.0, 1e6], &[0.0, 1.0, 1.0, 1.0], 1.0);
        let expected = (200.0 + 200.0 + std::f32::consts::LN_2 + 0.0) / 4.0;
        assert!((loss - expected).abs() < 1e-4, "{loss}");
        assert_eq!(gradient, [0.25, -0.25, -0.125, 0.0]);
    }

    #[test]
    fn gradient_is_the_slope_times_the_scale() {
        let (targets, at) = ([1.0, 0.0, 0.0], [0.3, -1.2, 2.0]);
        let (loss, gradient) = run(&at, &targets, 1.0);
        assert_gradient(&at, &gradient, |z| f64::from(run(z, &targets, 1.0).0));

        let (same_loss, scaled) = run(&at, &targets, 1024.0);
        assert_eq!(same_loss, loss);
        assert_eq!(scaled, gradient.iter().map(|g| g * 1024.0).collect::<Vec<_>>());
    }

    /// By torch 2.15, `BCEWithLogitsLoss()(z, t)` and its gradient by z.
    #[test]
    fn soft_targets_as_pytorch() {
        let (z, t) = ([0.3, -1.2, 2.0, 4.5, -0.7, 0.0], [0.25, 0.9, 1.0, 0.0, 0.5, 0.6]);
        let (loss, gradient) = run(&z, &t, 1.0);
        // Both round to f32 once or twice.
        assert!((loss - 1.367_824_6).abs() < 2e-7, "{loss}");
        let expected = [
            0.054_073_75,
            -0.111_420_79,
            -0.019_867_161,
            0.164_835_51,
            -0.028_031_295,
            -0.016_666_671,
        ];
        for (found, expected) in gradient.into_iter().zip(expected) {
            assert!((found - expected).abs() < 2e-8, "{found} {expected}");
        }
    }

    #[test]
    fn the_parts_of_a_batch_add_up_to_it() {
        let (z, targets) = ([0.3, -1.2, 2.0, 0.7], [1.0, 0.0, 0.0, 1.0]);
        let (whole_loss, whole) = run(&z, &targets, 1.0);
        let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
        let mut loss = target(1);
        let mut parts = Vec::new();
        for (z, targets) in z.chunks(2).zip(targets.chunks(2)) {
            let [z, targets] = [z, targets].map(|x| tensor(x.to_vec(), (1, 2)).unwrap());
            let gradient = bce_with_logits_backward(&z, &targets, 4, &scaler, &loss).unwrap();
            parts.extend_from_slice(&values(&gradient).unwrap());
            loss.write = WriteMode::Add;
        }
        assert_eq!(parts, whole);
        assert!((values(&loss.tensor).unwrap()[0] - whole_loss).abs() < 1e-6);
    }
}
