//! A teacher's answers, and the loss of a student that learns from them and from labels.
//!
//! | row | it teaches |
//! |---|---|
//! | with labels | weight x answer + (1 - weight) x label |
//! | without labels | the answer |

use anyhow::Result;
use candle_core::Tensor;
use shared::kernels::Target;
use shared::kernels::cross_entropy::bce_with_logits_backward;
use shared::kernels::distillation::{Goals, distillation_backward};
use shared::kernels::grad_scaler::GradScaler;

use super::examples::Examples;
use crate::grid::Probabilities;

/// A teacher's answers to all rows, and how much they count.
#[derive(Debug, Clone, PartialEq)]
pub struct Teacher {
    /// The probabilities at the temperature. Rows without labels follow those with labels.
    pub answers: Probabilities,
    /// The weight of an answer beside a label, from 0 to 1.
    pub weight: f32,
    pub temperature: f32,
}

impl Teacher {
    /// The gradient of the loss of some rows by their logits. `loss` and `elements` are those of
    /// [`bce_with_logits_backward`].
    ///
    /// # Errors
    /// If the device's memory does not suffice.
    pub fn backward(
        &self,
        logits: &Tensor,
        examples: &Examples,
        rows: &[usize],
        elements: usize,
        scaler: &GradScaler,
        loss: &Target,
    ) -> Result<Tensor> {
        #[expect(clippy::float_cmp, reason = "the default, as it was given")]
        if self.temperature == 1.0 {
            let mixed: Vec<f32> = rows.iter().flat_map(|&row| self.mixed(examples, row)).collect();
            let mixed = Tensor::from_vec(mixed, logits.shape(), logits.device())?;
            return Ok(bce_with_logits_backward(logits, &mixed, elements, scaler, loss)?);
        }
        let (mut labels, mut answers, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for &row in rows {
            let answer = self.answers.row(row);
            // The labels of a row that has none weigh nothing.
            labels.extend(examples.goals(row).unwrap_or_else(|| answer.to_vec()));
            answers.extend_from_slice(answer);
            weights.extend(vec![self.weight_of(examples, row); answer.len()]);
        }
        let temperature = self.temperature;
        let goals = Goals { labels: &labels, answers: &answers, weights: &weights, temperature };
        Ok(distillation_backward(logits, &goals, elements, scaler, loss)?)
    }

    /// What a row teaches at a temperature of 1, where the loss of a mixture is the mixture of the losses.
    fn mixed(&self, examples: &Examples, row: usize) -> Vec<f32> {
        let answer = self.answers.row(row);
        let Some(labels) = examples.goals(row) else { return answer.to_vec() };
        let weight = self.weight;
        labels.iter().zip(answer).map(|(y, p)| weight * p + (1.0 - weight) * y).collect()
    }

    fn weight_of(&self, examples: &Examples, row: usize) -> f32 {
        if examples.is_labelled(row) { self.weight } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use shared::kernels::WriteMode;

    use super::*;
    use crate::grid::Targets;

    fn examples(soft_targets: Option<Probabilities>) -> Examples {
        let targets = Targets::new(2, vec![1, 0, 0, 1]);
        Examples { input_ids: vec![vec![1]; 3], targets, soft_targets }
    }

    fn teacher(temperature: f32) -> Teacher {
        let answers = Probabilities::new(2, vec![0.5, 0.25, 0.125, 1.0, 0.75, 0.0]);
        Teacher { answers, weight: 0.75, temperature }
    }

    /// Row 2 has no labels.
    #[test]
    fn labels_and_answers_are_mixed_by_hand() {
        let (hard, teacher) = (examples(None), teacher(1.0));
        assert_eq!(teacher.mixed(&hard, 0), [0.75 * 0.5 + 0.25, 0.75 * 0.25]);
        assert_eq!(teacher.mixed(&hard, 1), [0.75 * 0.125, 1.0]);
        assert_eq!(teacher.mixed(&hard, 2), [0.75, 0.0]);
        let soft = examples(Some(Probabilities::new(2, vec![0.5, 0.5, 0.0, 1.0])));
        assert_eq!(teacher.mixed(&soft, 0), [0.5, 0.75 * 0.25 + 0.25 * 0.5]);
    }

    /// Computed by hand for z = 0: the labels' part is weight x (1/2 - y), the answers' weight x T x (1/2 - p), over
    /// the six elements.
    #[test]
    fn a_temperature_weighs_the_answers() {
        let logits = Tensor::zeros((3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
        let place = Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap();
        let loss = Target { tensor: place, write: WriteMode::Replace };
        let gradient =
            teacher(2.0).backward(&logits, &examples(None), &[2, 0, 1], 6, &scaler, &loss).unwrap();
        let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        let expected = [-0.5, 1.0, -0.125, 0.375 + 0.125, 0.5625 + 0.125, -0.75 - 0.125];
        for (found, expected) in gradient.into_iter().zip(expected) {
            assert!((found - expected / 6.0).abs() < 1e-7, "{found} {expected}");
        }
        // ln 2 everywhere, four times for answers.
        let loss: Vec<f32> = loss.tensor.to_vec1().unwrap();
        let ln_2 = std::f32::consts::LN_2;
        assert!((loss[0] - (2.0 * 4.0 + 4.0 * (3.0 + 0.25)) * ln_2 / 6.0).abs() < 1e-6, "{loss:?}");
    }
}
