//! Products, biases, sums over rows.

use candle_core::DType;

use super::{FORMATS, Input, TargetCheck, close, device_test, epsilon, reference, same_bits};
use crate::kernels::WriteMode;
use crate::kernels::cuda::linear;
use crate::kernels::linear::Bias;

const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 1), (2, 33, 5), (37, 24, 19), (129, 64, 132)];

/// The tolerance for sums in an order of the library's choice; cuBLAS may add up parts of them in the output's
/// format.
fn tolerance(output: DType) -> f32 {
    1e-5 + 2.0 * epsilon(output)
}

device_test! {
    fn linear_agrees_with_the_cpu(device) {
        for (rows, inputs, outputs) in SHAPES {
            for format in FORMATS {
                let x = Input::random((rows, inputs), 1, format, device);
                let w = Input::random((outputs, inputs), 2, format, device);
                let b = Input::random(outputs, 3, DType::F32, device);
                for output in [format, DType::F32] {
                    for bias in [None, Some(&b)] {
                        let bias_there = bias.map(|bias| (&bias.device).into());
                        let y = linear::forward(&x.device, &w.device, bias_there, output);
                        let y = y.unwrap();
                        assert_eq!(y.dtype(), output);
                        let expected = reference::linear(&x.cpu, &w.cpu, bias.map(|b| &b.cpu));
                        // The product is rounded before the bias is added, the sum again.
                        let tolerance = tolerance(output) + epsilon(output);
                        close(&format!("linear {format:?}"), &y, &expected, tolerance);
                    }
                }
            }
        }
    }
}

device_test! {
    /// A bias in the output's format is added to the sums in f32, and the result rounded once.
    fn a_bias_in_half_precision_is_added_before_rounding(device) {
        for (rows, inputs, outputs) in SHAPES {
            for format in [DType::F16, DType::BF16] {
                let x = Input::random((rows, inputs), 1, format, device);
                let w = Input::random((outputs, inputs), 2, format, device);
                let b = Input::random(outputs, 3, format, device);
                let exact = b.device.to_dtype(DType::F32).unwrap();
                let bias = Bias { exact: &exact, half: Some(&b.device) };
                let y = linear::forward(&x.device, &w.device, Some(bias), format).unwrap();
                let expected = reference::linear(&x.cpu, &w.cpu, Some(&b.cpu));
                // Where the library does not add it, the product is rounded first.
                close(&format!("biased {format:?}"), &y, &expected, tolerance(format));
            }
        }
    }
}

device_test! {
    fn gradients_of_linear_agree_with_the_cpu(device) {
        for (rows, inputs, outputs) in SHAPES {
            for format in FORMATS {
                let x = Input::random((rows, inputs), 1, format, device);
                let w = Input::random((outputs, inputs), 2, format, device);
                let g = Input::random((rows, outputs), 3, format, device);
                for output in [format, DType::F32] {
                    let by_x =
                        linear::backward_input(&g.device, &w.device, None, output).unwrap();
                    let expected = reference::linear_backward_input(&g.cpu, &w.cpu);
                    close(&format!("by x {format:?}"), &by_x, &expected, tolerance(output));

                    let before = super::read(&by_x);
                    let twice =
                        linear::backward_input(&g.device, &w.device, Some(by_x), output).unwrap();
                    let expected: Vec<f32> =
                        before.iter().zip(&expected).map(|(b, e)| b + e).collect();
                    close(&format!("by x twice {format:?}"), &twice, &expected, tolerance(output));
                }
                for write in [WriteMode::Replace, WriteMode::Add] {
                    let by_w = TargetCheck::new((outputs, inputs), write, 4, device);
                    let by_b = TargetCheck::new(outputs, write, 5, device);
                    let targets = (&by_w.target, Some(&by_b.target));
                    linear::backward_parameters(&g.device, &x.device, targets.0, targets.1).unwrap();
                    let expected = reference::linear_backward_weight(&g.cpu, &x.cpu);
                    by_w.check(&format!("by w {format:?}"), &expected, tolerance(DType::F32));
                    let expected = reference::column_sums(&g.cpu);
                    by_b.check(&format!("by b {format:?}"), &expected, tolerance(DType::F32));
                }
            }
        }
    }
}

device_test! {
    /// One chunk of rows, several, and so many that chunks grow; widths with and without vectors.
    fn column_sums_agree_with_the_cpu_and_repeat(device) {
        for rows in [1, 37, 300, 2500] {
            for width in [1, 5, 64, 130] {
                for format in FORMATS {
                    let g = Input::random((rows, width), 1, format, device);
                    let expected = reference::column_sums(&g.cpu);
                    for write in [WriteMode::Replace, WriteMode::Add] {
                        let run = || {
                            let sums = TargetCheck::new(width, write, 2, device);
                            linear::column_sums(&g.device, &sums.target).unwrap();
                            sums
                        };
                        let sums = run();
                        sums.check(&format!("sums {rows} {width} {format:?}"), &expected, 5e-6);
                        same_bits("sums", &sums.target.tensor, &run().target.tensor);
                    }
                }
            }
        }
    }
}
