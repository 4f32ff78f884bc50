//! Bias, dropout, residual and layer normalisation.

use candle_core::DType;

use super::reference;
use super::{FORMATS, Input, TargetCheck, close, device_test, epsilon, same_bits};
use crate::kernels::WriteMode;
use crate::kernels::add_norm::{ParameterTargets, Summed};
use crate::kernels::cuda::add_norm::{backward, forward};
use crate::kernels::random::{DropoutMask, RandomKey};

const EPS: f64 = 1e-7;

/// The sums that are normalised, for the loop of the test.
#[derive(Debug, Clone, Copy)]
enum Case {
    Alone,
    Sublayer(Option<f64>),
}

device_test! {
    fn add_norm_agrees_with_the_cpu_and_repeats(device) {
        // Rows: one block, and so many that a block has several; widths: less than a warp has, odd,
        // that of a model, more than a block has at once.
        for (rows, width) in [(1, 5), (3, 21), (70, 768), (1100, 34), (2, 1030)] {
            for format in FORMATS {
                for case in [Case::Alone, Case::Sublayer(None), Case::Sublayer(Some(0.3))] {
                    check(rows, width, format, case, device);
                }
            }
        }
    }
}

fn check(rows: usize, width: usize, format: DType, case: Case, device: &candle_core::Device) {
    let x = Input::random((rows, width), 1, format, device);
    let residual = Input::random((rows, width), 2, DType::F32, device);
    let [bias, gamma, beta] = [3, 4, 5].map(|seed| Input::random(width, seed, DType::F32, device));
    let g = Input::random((rows, width), 6, DType::F32, device);
    let mask = match case {
        Case::Sublayer(Some(p)) => Some(DropoutMask::new(p, RandomKey::new(7, 8))),
        _ => None,
    };
    let (summed, summed_cpu, sublayer) = match case {
        Case::Alone => (Summed::Alone, Summed::Alone, None),
        Case::Sublayer(_) => (
            Summed::Sublayer { bias: &bias.device, residual: &residual.device, mask },
            Summed::Sublayer { bias: &bias.cpu, residual: &residual.cpu, mask },
            Some((mask, format)),
        ),
    };
    let expected = reference::add_norm(&x.cpu, summed_cpu, &gamma.cpu, &beta.cpu, EPS, &g.cpu);
    let half = (format != DType::F32).then_some(format);
    let what = format!("add_norm {rows} {width} {format:?} {case:?}");
    let run = |write| {
        let (y, copy, normalised) =
            forward(&x.device, summed, &gamma.device, &beta.device, EPS, half).unwrap();
        let targets = [9, 10, 11].map(|seed| TargetCheck::new(width, write, seed, device));
        let [by_gamma, by_beta, by_bias] = &targets;
        let bias = sublayer.map(|_| &by_bias.target);
        let places = ParameterTargets { gamma: &by_gamma.target, beta: &by_beta.target, bias };
        let (by_sum, by_x) =
            backward(&g.device, &normalised, &gamma.device, sublayer, &places).unwrap();
        (y, copy, by_sum, by_x, targets)
    };
    for write in [WriteMode::Replace, WriteMode::Add] {
        let (y, copy, by_sum, by_x, targets) = run(write);
        // Everything is f32 but x, which is exact, and its gradient.
        close(&what, &y, &expected.y, 5e-6);
        assert_eq!(copy.as_ref().map(candle_core::Tensor::dtype), half);
        if let Some(copy) = &copy {
            close(&format!("{what}, copy"), copy, &expected.y, 5e-6 + epsilon(format));
        }
        close(&format!("{what} by sum"), &by_sum, &expected.by_sum, 1e-5);
        assert_eq!(by_x.is_some(), expected.by_x.is_some());
        if let (Some(by_x), Some(expected)) = (&by_x, &expected.by_x) {
            assert_eq!(by_x.dtype(), format);
            close(&format!("{what} by x"), by_x, expected, 1e-5 + epsilon(format));
        }
        let [by_gamma, by_beta, by_bias] = &targets;
        by_gamma.check(&format!("{what} by gamma"), &expected.by_gamma, 1e-5);
        by_beta.check(&format!("{what} by beta"), &expected.by_beta, 1e-5);
        if let Some(expected) = &expected.by_bias {
            by_bias.check(&format!("{what} by bias"), expected, 1e-5);
        }
        let again = run(write);
        same_bits(&what, &y, &again.0);
        same_bits(&what, &by_sum, &again.2);
        for (one, other) in targets.iter().zip(&again.4) {
            same_bits(&what, &one.target.tensor, &other.target.tensor);
        }
    }
}
