//! The loss of a student that learns from a teacher's answers at a temperature, and from labels (Hinton et al.,
//! arXiv 1503.02531, for independent labels): w T^2 BCE(z / T, answer) + (1 - w) BCE(z, label).
//!
//! At a temperature of 1 it is `cross_entropy` with a mixed target. At others the two parts are no longer one, and a
//! batch has so few logits that they are computed on the host, whatever the device.

use candle_core::{Device, Tensor};

use super::cross_entropy::loss as bce;
use super::grad_scaler::GradScaler;
use super::{Target, elementwise, scalar, tensor_in, values};
use crate::Result;

/// What a batch of logits is compared with, an element for each logit.
pub struct Goals<'a> {
    /// From 0 to 1.
    pub labels: &'a [f32],
    /// The teacher's probabilities at the temperature: the logistic function of its logits / T.
    pub answers: &'a [f32],
    /// The weight of the answers, from 0 to 1; the labels have the rest.
    pub weights: &'a [f32],
    /// T, above 0.
    pub temperature: f32,
}

/// The gradient of the scaled mean loss by the logits, in their shape and format; the mean itself, unscaled, goes to
/// `loss`, f32 `[1]`. The mean is over `elements` elements, as in
/// [`bce_with_logits_backward`](super::cross_entropy::bce_with_logits_backward).
///
/// # Errors
/// If a tensor is not contiguous or not of floats.
pub fn distillation_backward(
    logits: &Tensor,
    goals: &Goals<'_>,
    elements: usize,
    scaler: &GradScaler,
    loss: &Target,
) -> Result<Tensor> {
    let (device, there) = (logits.device(), logits.to_device(&Device::Cpu)?);
    let scale = scaler.state()?.scale as f32;
    let (z, count, t) = (values(&there)?, elements as f32, goals.temperature);
    let (mut total, mut gradient) = (0.0, Vec::with_capacity(z.len()));
    for (place, &z) in z.iter().enumerate() {
        let (label, answer) = (goals.labels[place], goals.answers[place]);
        let weight = goals.weights[place];
        total += f64::from(weight * t * t) * bce(z / t, answer);
        total += f64::from(1.0 - weight) * bce(z, label);
        let of_answer = weight * t * (scalar::sigmoid(z / t) - answer);
        let of_label = (1.0 - weight) * (scalar::sigmoid(z) - label);
        gradient.push((of_answer + of_label) / count * scale);
    }
    let mean = (total / elements as f64) as f32;
    elementwise::write(loss, &Tensor::new(&[mean], &Device::Cpu)?.to_device(device)?)?;
    Ok(tensor_in(logits.dtype(), gradient, logits.shape())?.to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{assert_gradient, target};
    use super::*;
    use crate::kernels::cross_entropy::bce_with_logits_backward;

    fn run(z: &[f32], goals: &Goals<'_>, scale: f64) -> (f32, Vec<f32>) {
        let scaler = GradScaler::new(scale, None, &Device::Cpu).unwrap();
        let loss = target(1);
        let logits = tensor(z.to_vec(), (1, z.len())).unwrap();
        let gradient = distillation_backward(&logits, goals, z.len(), &scaler, &loss).unwrap();
        let gradient = values(&gradient).unwrap().to_vec();
        (values(&loss.tensor).unwrap()[0], gradient)
    }

    /// By torch 2.15, with `B = binary_cross_entropy_with_logits`, T = 2 and the weights w below:
    /// `(w * T * T * B(z / T, sigmoid(teacher / T), reduction="none") + (1 - w) * B(z, y, reduction="none")).mean()`
    #[test]
    fn loss_and_gradient_as_pytorch() {
        let teacher: [f32; 6] = [1.0, -3.0, 0.5, 2.0, 0.25, -1.5];
        let answers = teacher.map(|z| scalar::sigmoid(z / 2.0));
        let goals = Goals {
            labels: &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            answers: &answers,
            weights: &[0.7, 0.7, 0.7, 1.0, 1.0, 1.0],
            temperature: 2.0,
        };
        let z = [0.3, -1.2, 2.0, 4.5, -0.7, 0.0];
        let (loss, gradient) = run(&z, &goals, 1.0);
        // Sums of some numbers of about 1, in f32 on one side.
        assert!((loss - 2.456_034).abs() < 1e-6, "{loss}");
        let expected =
            [0.008_881_9, 0.001_688, 0.033_445_667, 0.057_863_973, -0.039_275_657, 0.059_726_238];
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        assert_gradient(&z, &gradient, |z| f64::from(run(z, &goals, 1.0).0));
        let (same, scaled) = run(&z, &goals, 1024.0);
        assert_eq!(same, loss);
        assert_eq!(scaled, gradient.iter().map(|g| g * 1024.0).collect::<Vec<_>>());
    }

    #[test]
    fn a_temperature_of_one_is_cross_entropy_with_a_mixed_target() {
        let (labels, answers) = ([1.0, 0.0, 1.0], [0.25, 0.5, 0.75]);
        let z = [0.3, -1.2, 2.0];
        let goals =
            Goals { labels: &labels, answers: &answers, weights: &[0.75; 3], temperature: 1.0 };
        let (loss, gradient) = run(&z, &goals, 1.0);
        let mixed = [0.4375, 0.375, 0.8125];
        let [logits, mixed] = [&z, &mixed].map(|x| tensor(x.to_vec(), (1, 3)).unwrap());
        let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
        let at_once = target(1);
        let expected = bce_with_logits_backward(&logits, &mixed, 3, &scaler, &at_once).unwrap();
        assert!((values(&at_once.tensor).unwrap()[0] - loss).abs() < 1e-6);
        for (found, expected) in gradient.iter().zip(&*values(&expected).unwrap()) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
    }
}
