//! Loss scale, clipping, skipped steps, AdamW.

use candle_core::{DType, Device, Tensor};

use super::{Input, device_test, epsilon, natively, read};
use crate::kernels::cuda::optimizer::state::{
    CLEAN_STEPS, CORRECTIONS, FACTOR, LEN, NORM, SCALE, SKIPPED, STEPS,
};
use crate::kernels::cuda::optimizer::{AdamW, Arenas, Settings, adamw, norm_and_decide, scratch};
use crate::kernels::optimizer as cpu;
use crate::kernels::tests::{random, target};

fn new_state(scale: f64, device: &Device) -> Tensor {
    let mut state = [0.0; LEN];
    state[SCALE] = scale;
    Tensor::new(&state, device).unwrap()
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
                let settings = Settings::new(1.0, true);
                norm_and_decide(&gradients, &scratch, &state, &settings, None).unwrap();
                let found = numbers(&state);
                assert!((found[NORM] / exact - 1.0).abs() < 1e-12, "{} {exact}", found[NORM]);
                let clip = (1.0 / (exact + 1e-6)).min(1.0);
                assert!((found[FACTOR] * scale / clip - 1.0).abs() < 1e-12, "{}", found[FACTOR]);
                assert_eq!(found[SKIPPED], 0.0);

                let again = new_state(scale, device);
                norm_and_decide(&gradients, &scratch, &again, &settings, None).unwrap();
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
        let settings = Settings { interval: 3, ..Settings::new(1.0, true) };
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
            norm_and_decide(gradients, &scratch, &state, &settings, None).unwrap();
            let found = numbers(&state);
            let found_of = [SCALE, CLEAN_STEPS, STEPS, SKIPPED].map(|place| found[place]);
            assert_eq!(found_of, expected, "step {step}");
            assert_eq!(found[NORM].is_finite(), found[SKIPPED] == 0.0);
            assert_eq!(found[FACTOR] == 0.0, found[SKIPPED] == 1.0);
            for (place, beta) in CORRECTIONS.into_iter().zip([settings.beta1, settings.beta2]) {
                assert_eq!(found[place], 1.0 - beta.powi(found[STEPS] as i32));
            }
        }
    }
}

device_test! {
    fn a_fixed_scale_stays_and_an_overflow_still_skips(device) {
        let state = new_state(1.0, device);
        let scratch = scratch(2, device).unwrap();
        let settings = Settings { interval: 1, ..Settings::new(1.0, false) };
        for (gradients, skipped) in [([0.1f32, 0.2], 0.0), ([f32::NAN, 0.2], 1.0)] {
            let gradients = Tensor::new(&gradients, device).unwrap();
            norm_and_decide(&gradients, &scratch, &state, &settings, None).unwrap();
            let found = numbers(&state);
            assert_eq!((found[SCALE], found[SKIPPED]), (1.0, skipped));
        }
    }
}

device_test! {
    fn the_scale_grows_only_while_it_is_an_f32(device) {
        let state = new_state(2f64.powi(127), device);
        let gradients = Tensor::new(&[0f32], device).unwrap();
        let settings = Settings { interval: 1, ..Settings::new(1.0, true) };
        norm_and_decide(&gradients, &scratch(1, device).unwrap(), &state, &settings, None).unwrap();
        assert_eq!(numbers(&state)[SCALE], 2f64.powi(127));
    }
}

/// Five steps, one of them skipped, with and without clipping, beside the CPU's.
fn adamw_beside_the_cpu(n: usize, half: Option<DType>, device: &Device) {
    let decayed = n / 3;
    let start = random(n, 1);
    let settings = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
        decayed,
    };
    let there = |values: &[f32]| Tensor::from_slice(values, n, device).unwrap();
    let weights = there(&start);
    let (first, second) = (there(&vec![0.0; n]), there(&vec![0.0; n]));
    let copy = half.map(|half| Tensor::zeros(n, half, device).unwrap());
    let state = new_state(256.0, device);
    let scratch = scratch(n, device).unwrap();

    // On the CPU one range a group, which are decided about together.
    let groups = [0..decayed, decayed..n];
    let on_cpu = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
    let ranges = groups.clone().map(|group| cpu::Range {
        weights: on_cpu(&start[group.clone()]),
        half: None,
        gradients: on_cpu(&vec![0.0; group.len()]),
        first: on_cpu(&vec![0.0; group.len()]),
        second: on_cpu(&vec![0.0; group.len()]),
    });
    let cpu_state = natively(|| cpu::StepState::new(256.0, &Device::Cpu)).unwrap();

    for step in 0..5 {
        let mut gradient: Vec<f32> = random(n, 10 + step).iter().map(|g| g * 256.0).collect();
        if step == 2 {
            gradient[n - 1] = f32::INFINITY;
        }
        let gradients = there(&gradient);
        let clip = Settings::new([1e9, 0.5][step as usize % 2], true);
        norm_and_decide(&gradients, &scratch, &state, &clip, None).unwrap();
        let arenas = Arenas {
            weights: &weights,
            gradients: &gradients,
            first_moment: &first,
            second_moment: &second,
            half: copy.as_ref(),
        };
        adamw(&arenas, &state, &settings).unwrap();

        let decided = numbers(&state);
        assert_eq!(decided[SKIPPED] == 1.0, step == 2);
        natively(|| {
            let rules = cpu::Rules { max_grad_norm: clip.max_norm, scaling: true };
            cpu::decide(&on_cpu(&gradient), rules, &cpu_state, &target(1)).unwrap();
            for (which, group) in groups.iter().enumerate() {
                let decay = if which == 0 { settings.weight_decay } else { 0.0 };
                let adamw =
                    cpu::AdamW { learning_rate: settings.learning_rate, weight_decay: decay };
                let gradients = on_cpu(&gradient[group.clone()]);
                let range = cpu::Range { gradients, ..ranges[which].clone() };
                adamw.update(&range, &cpu_state).unwrap();
            }
        });
        let expected: Vec<f32> = ranges.iter().flat_map(|range| read(&range.weights)).collect();
        assert_eq!(read(&weights), expected, "the CPU's bits in step {step}");
        if let Some(copy) = &copy {
            for (copy, weight) in read(copy).iter().zip(&expected) {
                // A unit of the subnormal numbers apart from the relative error.
                let bound = weight.abs() * epsilon(copy_format(half)) + 6e-8;
                assert!((copy - weight).abs() <= bound, "{copy} {weight}");
            }
        }
    }
    let m: Vec<f32> = ranges.iter().flat_map(|range| read(&range.first)).collect();
    let v: Vec<f32> = ranges.iter().flat_map(|range| read(&range.second)).collect();
    assert_eq!((read(&first), read(&second)), (m, v), "the moments' bits");
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
        let (gradients, first, second) = (zeros(), zeros(), zeros());
        let state = new_state(65536.0, device);
        let scratch = scratch(n, device).unwrap();
        let mut expected = read(&weights.cpu);
        for step in 1..=5 {
            norm_and_decide(&gradients, &scratch, &state, &Settings::new(1.0, true), None).unwrap();
            let settings = AdamW {
                learning_rate: 1e-3 * f64::from(step),
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.1,
                decayed: n,
            };
            let arenas = Arenas {
                weights: &weights.device,
                gradients: &gradients,
                first_moment: &first,
                second_moment: &second,
                half: None,
            };
            adamw(&arenas, &state, &settings).unwrap();
            let decay = (1.0 - settings.learning_rate * settings.weight_decay) as f32;
            expected.iter_mut().for_each(|x| *x *= decay);
        }
        assert_eq!(read(&weights.device), expected);
    }
}
