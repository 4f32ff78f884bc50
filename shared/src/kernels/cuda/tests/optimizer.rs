//! Loss scale, clipping, skipped steps, AdamW.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::{Input, device_test, epsilon, natively, read};
use crate::kernels::cuda::optimizer::state::{
    FOUND_INF, GRAD_FACTOR, GROWTH_TRACKER, LEN, SCALE, STEP,
};
use crate::kernels::cuda::optimizer::{adamw, scratch, unscale_and_clip};
use crate::kernels::grad_scaler::GradScaler;
use crate::kernels::optimizer::{AdamW, BETAS, GROWTH_INTERVAL, ParamGroup};
use crate::kernels::tests::{random, target};

/// Elements of the state that the kernels alone read.
const NORM: usize = 4;
const BIAS_CORRECTIONS: [usize; 2] = [6, 7];

fn new_state(scale: f64, device: &Device) -> Tensor {
    let mut state = [0.0; LEN];
    state[SCALE] = scale;
    Tensor::new(&state, device).unwrap()
}

/// Where the norm goes as well.
fn norm(device: &Device) -> Tensor {
    Tensor::zeros(1, DType::F32, device).unwrap()
}

fn numbers(state: &Tensor) -> Vec<f64> {
    state.to_device(&Device::Cpu).unwrap().to_vec1().unwrap()
}

device_test! {
    fn the_norm_is_that_of_all_gradients_without_the_scale(device) {
        // Up to several rounds of the largest grid.
        for n in [1, 3, 1000, 3_000_001] {
            for scale in [1.0, 1024.0] {
                let values = random(n, 1);
                let exact = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                let scaled: Vec<f32> = values.iter().map(|x| x * scale as f32).collect();
                let gradients = Tensor::from_slice(&scaled, n, device).unwrap();
                let state = new_state(scale, device);
                let scratch = scratch(n, device).unwrap();
                let growth = Some(GROWTH_INTERVAL);
                unscale_and_clip(&gradients, &scratch, &state, growth, 1.0, &norm(device)).unwrap();
                let found = numbers(&state);
                assert!((found[NORM] / exact - 1.0).abs() < 1e-12, "{} {exact}", found[NORM]);
                let clip = (1.0 / (exact + 1e-6)).min(1.0);
                assert!((found[GRAD_FACTOR] * scale / clip - 1.0).abs() < 1e-12, "{}", found[GRAD_FACTOR]);
                assert_eq!(found[FOUND_INF], 0.0);

                let again = new_state(scale, device);
                unscale_and_clip(&gradients, &scratch, &again, growth, 1.0, &norm(device)).unwrap();
                assert_eq!(numbers(&again), found, "the scratch is as it was, and so are the bits");
            }
        }
    }
}

device_test! {
    /// What `torch.amp.GradScaler` with a growth interval of 3 does: doubled after three clean steps,
    /// halved by an overflow, which also begins the count anew.
    fn the_scale_grows_and_backs_off_as_pytorchs(device) {
        let finite = Tensor::new(&[0.1f32, -0.2, 0.3], device).unwrap();
        let infinite = Tensor::new(&[0.1f32, f32::INFINITY, 0.3], device).unwrap();
        let nan = Tensor::new(&[0.1f32, f32::NAN, 0.3], device).unwrap();
        let state = new_state(65536.0, device);
        let scratch = scratch(3, device).unwrap();
        let course = [
            // Gradients, then scale, growth tracker, step, found_inf.
            (&finite, [65536.0, 1.0, 1.0, 0.0]),
            (&finite, [65536.0, 2.0, 2.0, 0.0]),
            (&infinite, [32768.0, 0.0, 2.0, 1.0]),
            (&finite, [32768.0, 1.0, 3.0, 0.0]),
            (&finite, [32768.0, 2.0, 4.0, 0.0]),
            (&finite, [65536.0, 0.0, 5.0, 0.0]),
            (&nan, [32768.0, 0.0, 5.0, 1.0]),
            (&infinite, [16384.0, 0.0, 5.0, 1.0]),
        ];
        for (step, (gradients, expected)) in course.into_iter().enumerate() {
            unscale_and_clip(gradients, &scratch, &state, Some(3), 1.0, &norm(device)).unwrap();
            let found = numbers(&state);
            let found_of = [SCALE, GROWTH_TRACKER, STEP, FOUND_INF].map(|place| found[place]);
            assert_eq!(found_of, expected, "step {step}");
            assert_eq!(found[NORM].is_finite(), found[FOUND_INF] == 0.0);
            assert_eq!(found[GRAD_FACTOR] == 0.0, found[FOUND_INF] == 1.0);
            for (place, beta) in BIAS_CORRECTIONS.into_iter().zip(BETAS) {
                assert_eq!(found[place], 1.0 - beta.powi(found[STEP] as i32));
            }
        }
    }
}

device_test! {
    fn a_fixed_scale_stays_and_an_overflow_still_skips(device) {
        let state = new_state(1.0, device);
        let scratch = scratch(2, device).unwrap();
        for (gradients, skipped) in [([0.1f32, 0.2], 0.0), ([f32::NAN, 0.2], 1.0)] {
            let gradients = Tensor::new(&gradients, device).unwrap();
            unscale_and_clip(&gradients, &scratch, &state, None, 1.0, &norm(device)).unwrap();
            let found = numbers(&state);
            assert_eq!((found[SCALE], found[FOUND_INF]), (1.0, skipped));
        }
    }
}

device_test! {
    fn the_scale_grows_only_while_it_is_an_f32(device) {
        let state = new_state(2f64.powi(127), device);
        let gradients = Tensor::new(&[0f32], device).unwrap();
        let scratch = scratch(1, device).unwrap();
        unscale_and_clip(&gradients, &scratch, &state, Some(1), 1.0, &norm(device)).unwrap();
        assert_eq!(numbers(&state)[SCALE], 2f64.powi(127));
    }
}

/// Five steps, one of them skipped, with and without clipping, beside the CPU's.
fn adamw_beside_the_cpu(n: usize, half: Option<DType>, device: &Device) {
    let start = random(n, 1);
    // Two groups, whose gradients have one norm.
    let groups = [0..n / 3, n / 3..n];
    let updates = [0.1, 0.0].map(|weight_decay| AdamW { lr: 1e-2, weight_decay });
    let arena = |device: &Device| {
        let zeros = || Tensor::zeros(n, DType::F32, device).unwrap();
        let weights = Tensor::from_slice(&start, n, device).unwrap();
        let half = half.map(|half| Tensor::zeros(n, half, device).unwrap());
        ParamGroup { weights, half, gradients: zeros(), exp_avg: zeros(), exp_avg_sq: zeros() }
    };
    let (there, here) = (arena(device), arena(&Device::Cpu));
    let state = new_state(256.0, device);
    let growth = Some(GROWTH_INTERVAL);
    let cpu_scaler = natively(|| GradScaler::new(256.0, growth, &Device::Cpu)).unwrap();
    let scratch = scratch(n, device).unwrap();

    for step in 0..5 {
        let mut gradient: Vec<f32> = random(n, 10 + step).iter().map(|g| g * 256.0).collect();
        if step == 2 {
            gradient[n - 1] = f32::INFINITY;
        }
        let on = |device: &Device| Tensor::from_slice(&gradient, n, device).unwrap();
        let there = ParamGroup { gradients: on(device), ..there.clone() };
        let here = ParamGroup { gradients: on(&Device::Cpu), ..here.clone() };
        let max = [1e9, 0.5][step as usize % 2];
        unscale_and_clip(&there.gradients, &scratch, &state, growth, max, &norm(device)).unwrap();
        natively(|| cpu_scaler.unscale_and_clip(&here.gradients, max, &target(1))).unwrap();
        for (rows, update) in groups.iter().zip(&updates) {
            adamw(&part(&there, rows), &state, update).unwrap();
            natively(|| update.step(&part(&here, rows), &cpu_scaler)).unwrap();
        }
        assert_eq!(numbers(&state)[FOUND_INF] == 1.0, step == 2);
        let expected = read(&here.weights);
        assert_eq!(read(&there.weights), expected, "the CPU's bits in step {step}");
        if let Some(copy) = &there.half {
            for (copy, weight) in read(copy).iter().zip(&expected) {
                // A unit of the subnormal numbers apart from the relative error.
                let bound = weight.abs() * epsilon(copy_format(half)) + 6e-8;
                assert!((copy - weight).abs() <= bound, "{copy} {weight}");
            }
        }
    }
    let moments = |group: &ParamGroup| (read(&group.exp_avg), read(&group.exp_avg_sq));
    assert_eq!(moments(&there), moments(&here), "the moments' bits");
}

/// Some elements of all tensors of a group.
fn part(group: &ParamGroup, rows: &Range<usize>) -> ParamGroup {
    let cut = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len()).unwrap();
    ParamGroup {
        weights: cut(&group.weights),
        half: group.half.as_ref().map(cut),
        gradients: cut(&group.gradients),
        exp_avg: cut(&group.exp_avg),
        exp_avg_sq: cut(&group.exp_avg_sq),
    }
}

fn copy_format(half: Option<DType>) -> DType {
    half.expect("only asked with a copy")
}

device_test! {
    fn adamw_has_the_bits_of_the_cpu(device) {
        for n in [3, 1000, 1_200_007] {
            for half in [None, Some(DType::F16), Some(DType::BF16)] {
                adamw_beside_the_cpu(n, half, device);
            }
        }
    }
}

device_test! {
    /// So that rows of an embedding that no text uses may be left out and decayed afterwards.
    fn zero_gradients_only_decay(device) {
        let n = 1001;
        let weights = Input::random(n, 1, DType::F32, device);
        let zeros = || Tensor::zeros(n, DType::F32, device).unwrap();
        let group = ParamGroup {
            weights: weights.device,
            half: None,
            gradients: zeros(),
            exp_avg: zeros(),
            exp_avg_sq: zeros(),
        };
        let state = new_state(65536.0, device);
        let scratch = scratch(n, device).unwrap();
        let mut expected = read(&weights.cpu);
        for step in 1..=5 {
            let growth = Some(GROWTH_INTERVAL);
            unscale_and_clip(&group.gradients, &scratch, &state, growth, 1.0, &norm(device)).unwrap();
            let update = AdamW { lr: 1e-3 * f64::from(step), weight_decay: 0.1 };
            adamw(&group, &state, &update).unwrap();
            let decay = update.decay_factor();
            expected.iter_mut().for_each(|x| *x *= decay);
        }
        assert_eq!(read(&group.weights), expected);
    }
}
