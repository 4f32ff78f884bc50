//! Bias and GELU.

use candle_core::DType;

use super::{FORMATS, Input, TargetCheck, close, device_test, epsilon, reference, same_bits};
use crate::kernels::WriteMode;
use crate::kernels::cuda::gelu::{backward, forward};
use crate::kernels::tests::random;

device_test! {
    fn gelu_agrees_with_the_cpu_and_repeats(device) {
        for (rows, width) in [(1, 3), (5, 21), (70, 256), (300, 131)] {
            for format in FORMATS {
                let values: Vec<f32> = random(rows * width, 1).iter().map(|x| 5.0 * x).collect();
                let x = Input::new(&values, (rows, width), format, device);
                let b = Input::random(width, 2, DType::F32, device);
                let g = Input::random((rows, width), 3, format, device);
                // The CPU's erf is within 5e-7 of the real one.
                let tolerance = 2e-6 + epsilon(format);
                let y = forward(&x.device, &b.device).unwrap();
                close(&format!("gelu {format:?}"), &y, &reference::gelu(&x.cpu, &b.cpu), tolerance);

                let [by_x, by_b] = reference::gelu_backward(&g.cpu, &x.cpu, &b.cpu);
                for write in [WriteMode::Replace, WriteMode::Add] {
                    let run = || {
                        let bias = TargetCheck::new(width, write, 4, device);
                        let found =
                            backward(&g.device, &x.device, &b.device, &bias.target).unwrap();
                        (found, bias)
                    };
                    let (found, bias) = run();
                    assert_eq!(found.dtype(), format);
                    close(&format!("gelu by x {format:?}"), &found, &by_x, tolerance);
                    // Summed before the rounding of `found`.
                    bias.check(&format!("gelu by bias {format:?}"), &by_b, 5e-6);
                    let again = run();
                    same_bits("gelu by x", &found, &again.0);
                    same_bits("gelu by bias", &bias.target.tensor, &again.1.target.tensor);
                }
            }
        }
    }
}
