//! Casts, sums, dropout, and the formats themselves.

use candle_core::{DType, Device, Tensor};

use super::{FORMATS, Input, close, device_test, epsilon, read, reference, same_bits};
use crate::kernels::cuda::elementwise::{add_assign, cast, copy_into, dropout, sigmoid, zero};
use crate::kernels::random::{DropoutMask, RandomKey};
use crate::kernels::tests::random;

const LENGTHS: [usize; 4] = [1, 7, 2048, 5003];

device_test! {
    /// Every number of a half format, and around each the f32 that must round to it or away from it.
    fn casts_round_to_nearest_even(device) {
        for format in [DType::F16, DType::BF16] {
            let shift = if format == DType::F16 { 13 } else { 16 };
            let exact: Vec<f32> = (0..=u16::MAX)
                .map(|bits| match format {
                    DType::F16 => half::f16::from_bits(bits).to_f32(),
                    _ => half::bf16::from_bits(bits).to_f32(),
                })
                .filter(|x| !x.is_nan())
                .collect();
            let near = exact.iter().filter(|x| x.is_finite()).flat_map(|x| {
                let half_a_unit = 1u32 << (shift - 1);
                [0, 1, half_a_unit - 1, half_a_unit, half_a_unit + 1]
                    .map(|more| f32::from_bits(x.to_bits().wrapping_add(more)))
            });
            let values: Vec<f32> =
                near.filter(|x| !x.is_nan()).chain([1e-8, -1e-8, 6e4, 65520.0, 1e30]).collect();
            let x = Tensor::from_slice(&values, values.len(), device).unwrap();
            let found = cast(&x, format).unwrap();
            let expected: Vec<f32> = values
                .iter()
                .map(|&x| match format {
                    DType::F16 => half::f16::from_f32(x).to_f32(),
                    _ => half::bf16::from_f32(x).to_f32(),
                })
                .collect();
            let back = cast(&found, DType::F32).unwrap();
            for (i, (f, e)) in read(&back).iter().zip(&expected).enumerate() {
                assert_eq!(f.to_bits(), e.to_bits(), "{format:?}: {} -> {f}, not {e}", values[i]);
            }
        }
    }
}

device_test! {
    fn sums_and_copies_agree_with_plain_loops(device) {
        for n in LENGTHS {
            for format in FORMATS {
                for other in FORMATS {
                    let a = Input::random(n, 1, format, device);
                    let b = Input::random(n, 2, other, device);
                    let expected: Vec<f32> =
                        read(&a.cpu).iter().zip(read(&b.cpu)).map(|(a, b)| a + b).collect();
                    let sum = add_assign(a.device, &b.device).unwrap();
                    close(&format!("{format:?} + {other:?}"), &sum, &expected, epsilon(format));

                    copy_into(&sum, &b.device).unwrap();
                    close(&format!("{format:?} = {other:?}"), &sum, &read(&b.cpu), epsilon(format));
                }
            }
            let ones = Tensor::ones(n, DType::F32, device).unwrap();
            zero(&ones).unwrap();
            assert!(read(&ones).iter().all(|&x| x == 0.0));
        }
    }
}

device_test! {
    /// Also of a part of a tensor that begins at no multiple of 16 bytes.
    fn dropout_has_the_mask_of_the_cpu(device) {
        let mask = DropoutMask::new(0.3, RandomKey::new(5, 1));
        for n in LENGTHS {
            for format in FORMATS {
                for start in [0, 1] {
                    let x = Input::random(n + start, 1, format, device);
                    let part = x.device.narrow(0, start, n).unwrap();
                    let expected =
                        reference::dropout(&x.cpu.narrow(0, start, n).unwrap(), mask);
                    for half in [None, Some(DType::F16), Some(DType::BF16)] {
                        let (y, copy) = dropout(&part, mask, half).unwrap();
                        close(&format!("dropout {format:?}"), &y, &expected, epsilon(format));
                        assert_eq!(copy.as_ref().map(Tensor::dtype), half);
                        if let Some(copy) = copy {
                            let tolerance = epsilon(copy.dtype());
                            close(&format!("dropout {half:?}"), &copy, &expected, tolerance);
                        }
                        let zeros = |x: &[f32]| x.iter().map(|&x| x == 0.0).collect::<Vec<bool>>();
                        assert_eq!(zeros(&read(&y)), zeros(&expected), "the mask itself");
                    }
                }
            }
        }
    }
}

device_test! {
    fn sigmoid_saturates_without_overflow(device) {
        let values: Vec<f32> = random(1000, 1).iter().map(|x| 100.0 * x).collect();
        for format in FORMATS {
            let x = Input::new(&values, values.len(), format, device);
            let expected: Vec<f32> = read(&x.cpu)
                .iter()
                .map(|&x| (1.0 / (1.0 + (-f64::from(x)).exp())) as f32)
                .collect();
            let y = sigmoid(&x.device).unwrap();
            assert_eq!(y.dtype(), DType::F32);
            close(&format!("sigmoid {format:?}"), &y, &expected, 4e-7);
        }
        let far = Tensor::new(&[1e30f32, -1e30, 0.0], &Device::Cpu).unwrap();
        let y = sigmoid(&far.to_device(device).unwrap()).unwrap();
        assert_eq!(read(&y), [1.0, 0.0, 0.5]);
        same_bits("sigmoid", &y, &sigmoid(&far.to_device(device).unwrap()).unwrap());
    }
}
