//! Loss scale, clipping, skipped steps, AdamW.

use candle_core::{DType, Device, Tensor};

use super::{Input, device_test, epsilon, natively, read};
use crate::kernels::cuda::optimizer::state::{
    CLEAN_STEPS, CORRECTIONS, FACTOR, LEN, NORM, SCALE, SKIPPED, STEPS,
};
use crate::kernels::cuda::optimizer::{adamw, norm_and_decide, scratch};
use crate::kernels::optimizer::{AdamW, BETA1, BETA2, Range, Rules, StepState, decide};
use crate::kernels::tests::{random, target};

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
                let rules = Rules::new(1.0, true);
                norm_and_decide(&gradients, &scratch, &state, rules, &norm(device)).unwrap();
                let found = numbers(&state);
                assert!((found[NORM] / exact - 1.0).abs() < 1e-12, "{} {exact}", found[NORM]);
                let clip = (1.0 / (exact + 1e-6)).min(1.0);
                assert!((found[FACTOR] * scale / clip - 1.0).abs() < 1e-12, "{}", found[FACTOR]);
                assert_eq!(found[SKIPPED], 0.0);

                let again = new_state(scale, device);
                norm_and_decide(&gradients, &scratch, &again, rules, &norm(device)).unwrap();
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
        let rules = Rules { growth_interval: 3, ..Rules::new(1.0, true) };
        let state = new_state(65536.0, device);
        let scratch = scratch(3, device).unwrap();
        let course = [
            // Gradients, then scale, clean steps, steps taken, skipped.
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
            norm_and_decide(gradients, &scratch, &state, rules, &norm(device)).unwrap();
            let found = numbers(&state);
            let found_of = [SCALE, CLEAN_STEPS, STEPS, SKIPPED].map(|place| found[place]);
            assert_eq!(found_of, expected, "step {step}");
            assert_eq!(found[NORM].is_finite(), found[SKIPPED] == 0.0);
            assert_eq!(found[FACTOR] == 0.0, found[SKIPPED] == 1.0);
            for (place, beta) in CORRECTIONS.into_iter().zip([BETA1, BETA2]) {
                assert_eq!(found[place], 1.0 - beta.powi(found[STEPS] as i32));
            }
        }
    }
}

device_test! {
    fn a_fixed_scale_stays_and_an_overflow_still_skips(device) {
        let state = new_state(1.0, device);
        let scratch = scratch(2, device).unwrap();
        let rules = Rules { growth_interval: 1, ..Rules::new(1.0, false) };
        for (gradients, skipped) in [([0.1f32, 0.2], 0.0), ([f32::NAN, 0.2], 1.0)] {
            let gradients = Tensor::new(&gradients, device).unwrap();
            norm_and_decide(&gradients, &scratch, &state, rules, &norm(device)).unwrap();
            let found = numbers(&state);
            assert_eq!((found[SCALE], found[SKIPPED]), (1.0, skipped));
        }
    }
}

device_test! {
    fn the_scale_grows_only_while_it_is_an_f32(device) {
        let state = new_state(2f64.powi(127), device);
        let gradients = Tensor::new(&[0f32], device).unwrap();
        let rules = Rules { growth_interval: 1, ..Rules::new(1.0, true) };
        norm_and_decide(&gradients, &scratch(1, device).unwrap(), &state, rules, &norm(device)).unwrap();
        assert_eq!(numbers(&state)[SCALE], 2f64.powi(127));
    }
}

/// Five steps, one of them skipped, with and without clipping, beside the CPU's.
fn adamw_beside_the_cpu(n: usize, half: Option<DType>, device: &Device) {
    let start = random(n, 1);
    // Each group is a range; they are decided about together.
    let groups = [0..n / 3, n / 3..n];
    let updates = [0.1, 0.0].map(|weight_decay| AdamW { learning_rate: 1e-2, weight_decay });
    let arena = |device: &Device| {
        let zeros = || Tensor::zeros(n, DType::F32, device).unwrap();
        let weights = Tensor::from_slice(&start, n, device).unwrap();
        let half = half.map(|half| Tensor::zeros(n, half, device).unwrap());
        Range { weights, half, gradients: zeros(), first: zeros(), second: zeros() }
    };
    let (there, here) = (arena(device), arena(&Device::Cpu));
    let state = new_state(256.0, device);
    let cpu_state = natively(|| StepState::new(256.0, &Device::Cpu)).unwrap();
    let scratch = scratch(n, device).unwrap();

    for step in 0..5 {
        let mut gradient: Vec<f32> = random(n, 10 + step).iter().map(|g| g * 256.0).collect();
        if step == 2 {
            gradient[n - 1] = f32::INFINITY;
        }
        let on = |device: &Device| Tensor::from_slice(&gradient, n, device).unwrap();
        let there = Range { gradients: on(device), ..there.clone() };
        let here = Range { gradients: on(&Device::Cpu), ..here.clone() };
        let rules = Rules::new([1e9, 0.5][step as usize % 2], true);
        norm_and_decide(&there.gradients, &scratch, &state, rules, &norm(device)).unwrap();
        natively(|| decide(&here.gradients, rules, &cpu_state, &target(1))).unwrap();
        for (group, update) in groups.iter().zip(&updates) {
            adamw(&part(&there, group), &state, update).unwrap();
            natively(|| update.update(&part(&here, group), &cpu_state)).unwrap();
        }
        assert_eq!(numbers(&state)[SKIPPED] == 1.0, step == 2);
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
    let moments = |range: &Range| (read(&range.first), read(&range.second));
    assert_eq!(moments(&there), moments(&here), "the moments' bits");
}

/// The elements of a group in all tensors.
fn part(range: &Range, group: &std::ops::Range<usize>) -> Range {
    let cut = |tensor: &Tensor| tensor.narrow(0, group.start, group.len()).unwrap();
    Range {
        weights: cut(&range.weights),
        half: range.half.as_ref().map(cut),
        gradients: cut(&range.gradients),
        first: cut(&range.first),
        second: cut(&range.second),
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
        let range = Range {
            weights: weights.device,
            half: None,
            gradients: zeros(),
            first: zeros(),
            second: zeros(),
        };
        let state = new_state(65536.0, device);
        let scratch = scratch(n, device).unwrap();
        let mut expected = read(&weights.cpu);
        for step in 1..=5 {
            let rules = Rules::new(1.0, true);
            norm_and_decide(&range.gradients, &scratch, &state, rules, &norm(device)).unwrap();
            let update = AdamW { learning_rate: 1e-3 * f64::from(step), weight_decay: 0.1 };
            adamw(&range, &state, &update).unwrap();
            let decay = update.decay_factor();
            expected.iter_mut().for_each(|x| *x *= decay);
        }
        assert_eq!(read(&range.weights), expected);
    }
}
