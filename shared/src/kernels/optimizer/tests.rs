//! The scaler and AdamW, and what they do together in a step.

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::kernels::tests::{random, target};
use crate::kernels::{tensor, values};

const MAX_NORM: f64 = 1.0;
const ADAMW: AdamW = AdamW { lr: 1e-2, weight_decay: 0.1 };

fn group(weights: &[f32], gradients: &[f32], half: Option<DType>) -> ParamGroup {
    let n = weights.len();
    let zeros = || Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
    let weights = tensor(weights.to_vec(), n).unwrap();
    let half = half.map(|format| weights.to_dtype(format).unwrap());
    let gradients = tensor(gradients.to_vec(), n).unwrap();
    ParamGroup { weights, half, gradients, exp_avg: zeros(), exp_avg_sq: zeros() }
}

fn scaler(scale: f64) -> GradScaler {
    GradScaler::new(scale, Some(GROWTH_INTERVAL), &Device::Cpu).unwrap()
}

/// Unscales and clips gradients and returns their norm.
fn unscaled(gradients: &[f32], scaler: &GradScaler) -> f32 {
    let norm = target(1);
    let gradients = tensor(gradients.to_vec(), gradients.len()).unwrap();
    scaler.unscale_and_clip(&gradients, MAX_NORM, &norm).unwrap();
    let norm = values(&norm.tensor).unwrap();
    norm[0]
}

#[test]
fn decay_applies_each_factor_in_turn_to_the_bit() {
    let factors: Vec<f32> = (0..30).map(|step| 1.0 - 1e-6 * step as f32).collect();
    for length in [1, 63, 64, 65, 200] {
        let mut decayed = random(length, 1);
        let mut expected = decayed.clone();
        decay(&mut decayed, &factors);
        for value in &mut expected {
            factors.iter().for_each(|factor| *value *= factor);
        }
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&decayed), bits(&expected), "{length}");
    }
}

#[test]
fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
    let group = group(&[1.0, 1.0, -2.0], &[0.5, -3.0, 0.0], Some(DType::BF16));
    let scaler = scaler(1.0);
    unscaled(&[0.5, -3.0, 0.0], &scaler);
    ADAMW.step(&group, &scaler).unwrap();
    let decayed = 1.0 - 1e-2 * 0.1;
    let expected = [decayed - 1e-2, decayed + 1e-2, -2.0 * decayed];
    let weights = values(&group.weights).unwrap();
    for (found, expected) in weights.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    let rounded = group.weights.to_dtype(DType::BF16).unwrap();
    let half = group.half.unwrap();
    assert_eq!(*values(&half).unwrap(), *values(&rounded).unwrap());
}

#[test]
fn zero_gradients_only_decay_bit_for_bit() {
    let start = random(1000, 1);
    let group = group(&start, &[0.0; 1000], None);
    let scaler = scaler(1.0);
    let mut expected = start;
    for step in 1..=5 {
        let adamw = AdamW { lr: 1e-3 * f64::from(step), ..ADAMW };
        unscaled(&[0.0; 1000], &scaler);
        adamw.step(&group, &scaler).unwrap();
        expected.iter_mut().for_each(|x| *x *= adamw.decay_factor());
    }
    assert_eq!(*values(&group.weights).unwrap(), *expected);
}

#[test]
fn a_scaled_gradient_gives_the_update_of_the_unscaled() {
    let (weights, gradients) = (random(100, 1), random(100, 2));
    let scaled: Vec<f32> = gradients.iter().map(|g| g * 65536.0).collect();
    let mut updated = Vec::new();
    for (gradients, scale) in [(&gradients, 1.0), (&scaled, 65536.0)] {
        let group = group(&weights, gradients, None);
        let scaler = scaler(scale);
        let norm = unscaled(gradients, &scaler);
        ADAMW.step(&group, &scaler).unwrap();
        updated.push((norm, values(&group.weights).unwrap().to_vec()));
    }
    assert_eq!(updated[0], updated[1], "powers of two scale without rounding");
}

#[test]
fn an_overflow_halves_the_scale_and_updates_nothing() {
    for gradient in [f32::INFINITY, f32::NAN] {
        let group = group(&[1.0, 2.0], &[gradient, 1.0], None);
        let scaler = scaler(INIT_SCALE);
        assert!(!unscaled(&[gradient, 1.0], &scaler).is_finite());
        ADAMW.step(&group, &scaler).unwrap();
        assert_eq!(*values(&group.weights).unwrap(), [1.0, 2.0]);
        assert_eq!(*values(&group.exp_avg).unwrap(), [0.0, 0.0]);
        let state = scaler.state().unwrap();
        assert_eq!((state.scale, state.step), (INIT_SCALE / 2.0, 0.0));
    }
}

#[test]
fn the_scale_grows_after_2000_clean_steps_in_a_row() {
    let scaler = scaler(1024.0);
    let scales = |steps: usize, gradient: f32| {
        for _ in 0..steps {
            unscaled(&[gradient], &scaler);
        }
        scaler.state().unwrap().scale
    };
    assert_eq!(scales(1999, 1.0), 1024.0);
    assert_eq!(scales(1, f32::INFINITY), 512.0);
    assert_eq!(scales(1999, 1.0), 512.0);
    assert_eq!(scales(1, 1.0), 1024.0);
    assert_eq!(scales(2000, 1.0), 2048.0);
}

/// PyTorch 2.15's `GradScaler("cpu")` over 6,200 steps with AdamW and `clip_grad_norm_`, where
/// the gradients of eight steps were not finite.
#[test]
fn the_scale_takes_the_course_of_pytorchs() {
    const NOT_FINITE: [usize; 8] = [0, 1, 2, 5, 1500, 1501, 3502, 5600];
    /// After which step the scale changed, to what, and how many updates there were by then.
    const CHANGES: [(usize, f64, f64); 10] = [
        (0, 32768.0, 0.0),
        (1, 16384.0, 0.0),
        (2, 8192.0, 0.0),
        (5, 4096.0, 2.0),
        (1500, 2048.0, 1496.0),
        (1501, 1024.0, 1496.0),
        (3501, 2048.0, 3496.0),
        (3502, 1024.0, 3496.0),
        (5502, 2048.0, 5496.0),
        (5600, 1024.0, 5593.0),
    ];
    let scaler = scaler(INIT_SCALE);
    let mut changes = Vec::new();
    for step in 0..6200 {
        let before = scaler.state().unwrap().scale;
        let mut gradient = [0.1, -0.2, 0.3].map(|g| g * before as f32);
        if NOT_FINITE.contains(&step) {
            gradient[1] = if step % 2 == 0 { f32::INFINITY } else { f32::NAN };
        }
        unscaled(&gradient, &scaler);
        let ScalerState { scale, step: updates, .. } = scaler.state().unwrap();
        if scale != before {
            changes.push((step, scale, updates));
        }
    }
    assert_eq!(changes, CHANGES);
    let ScalerState { growth_tracker, step, .. } = scaler.state().unwrap();
    assert_eq!((growth_tracker, step), (599.0, 6192.0));
}

#[test]
fn a_disabled_scaler_keeps_its_scale() {
    let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
    unscaled(&[f32::INFINITY], &scaler);
    assert_eq!(scaler.state().unwrap().scale, 1.0);
}

/// Each of the three tensors that are updated in place may turn out not to be contiguous.
#[test]
fn a_tensor_that_cannot_be_updated_is_an_error_and_changes_nothing() {
    let scaler = scaler(1.0);
    unscaled(&[0.5, 0.5], &scaler);
    let columns = || Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
    let strided = || columns().narrow(1, 0, 1).unwrap();
    let group = || group(&[1.0, 2.0], &[0.5, 0.5], None);
    for group in [
        ParamGroup { weights: strided(), ..group() },
        ParamGroup { exp_avg: strided(), ..group() },
        ParamGroup { exp_avg_sq: strided(), ..group() },
    ] {
        let before = values_of(&group);
        assert!(ADAMW.step(&group, &scaler).is_err());
        assert_eq!(values_of(&group), before);
    }
}

/// Weights and moments.
fn values_of(group: &ParamGroup) -> [Vec<f32>; 3] {
    [&group.weights, &group.exp_avg, &group.exp_avg_sq]
        .map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn checkpoints_keep_the_names_they_had() {
    let state = ScalerState { scale: 2.0, growth_tracker: 1.0, step: 3.0, ..Default::default() };
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(json, r#"{"scale":2.0,"clean_steps":1.0,"updates":3.0}"#);
}
