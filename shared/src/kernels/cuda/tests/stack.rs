//! Several layers at once, against one after the other.

use candle_core::{DType, Device, Tensor};

use super::{FORMATS, Input, TargetCheck, close, device_test, epsilon, natively, read, same_bits};
use crate::kernels::random::{DropoutMask, RandomKey};
use crate::kernels::tests::target;
use crate::kernels::{Target, WriteMode, stack};

/// Rows, layers, inputs, and outputs of each layer in use; widths with and without vectors.
const SHAPES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 1, 1), (5, 3, 24, 16), (37, 2, 13, 9), (130, 4, 64, 40)];

/// Outputs of each layer that are not in use, so that layers are some distance apart.
const UNUSED: usize = 8;

device_test! {
    fn layers_at_once_agree_with_the_cpu(device) {
        for (rows, layers, inputs, outputs) in SHAPES {
            for format in FORMATS {
                for dropout in [false, true] {
                    let mask = |layer| DropoutMask::new(0.3, RandomKey::new(5, layer));
                    let masks: Vec<_> = (0..layers as u32).map(|l| dropout.then(|| mask(l))).collect();
                    check((rows, layers, inputs, outputs), &masks, format, device);
                }
            }
        }
    }
}

fn check(
    (rows, layers, inputs, outputs): (usize, usize, usize, usize),
    masks: &[Option<DropoutMask>],
    format: DType,
    device: &Device,
) {
    let part = |tensor: &Tensor| tensor.narrow(1, 0, outputs).unwrap();
    let x = Input::random((rows, inputs), 1, DType::F32, device);
    let w = Input::random((layers, outputs + UNUSED, inputs), 2, format, device);
    let b = Input::random((layers, outputs + UNUSED), 3, DType::F32, device);
    let g = Input::random((rows, layers * outputs), 4, format, device);
    let (w_cpu, b_cpu) = (part(&w.cpu), part(&b.cpu));
    let (w, b) = (part(&w.device), part(&b.device));
    let what = format!("stack {layers} {inputs} {format:?}");
    // Inputs, products and outputs are rounded; in f32, sums have another order.
    let tolerance = 1e-5 + 4.0 * epsilon(format);

    let (y, saved) = stack::forward(&x.device, masks, &w, &b).unwrap();
    let (expected, expected_saved) =
        natively(|| stack::forward(&x.cpu, masks, &w_cpu, &b_cpu)).unwrap();
    assert_eq!(y.dtype(), format);
    close(&what, &y, &read(&expected), tolerance);

    let [by_w, by_b] = [target((layers, outputs, inputs)), target((layers, outputs))];
    let by_x = natively(|| stack::backward(&g.cpu, &expected_saved, &w_cpu, &by_w, &by_b)).unwrap();
    for write in [WriteMode::Replace, WriteMode::Add] {
        let run = || {
            let found_w = TargetCheck::new((layers, outputs + UNUSED, inputs), write, 6, device);
            let found_b = TargetCheck::new((layers, outputs + UNUSED), write, 7, device);
            let target = |check: &TargetCheck| Target { tensor: part(&check.target.tensor), write };
            let [to_w, to_b] = [&found_w, &found_b].map(target);
            let found = stack::backward(&g.device, &saved, &w, &to_w, &to_b).unwrap();
            (found, found_w, found_b)
        };
        let (found, found_w, found_b) = run();
        close(&format!("{what} by x"), &found, &read(&by_x), tolerance);
        let checks = [(&found_w, &by_w, inputs), (&found_b, &by_b, 1)];
        for ((check, expected, row), name) in checks.into_iter().zip(["w", "b"]) {
            let before =
                Tensor::from_slice(&check.before, check.target.tensor.shape(), &Device::Cpu);
            let mut expected_all = before.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let used = expected_all.chunks_mut((outputs + UNUSED) * row);
            for (all, expected) in used.zip(read(&expected.tensor).chunks(outputs * row)) {
                for (sum, expected) in all.iter_mut().zip(expected) {
                    *sum = if write == WriteMode::Add { *sum + expected } else { *expected };
                }
            }
            close(&format!("{what} by {name}"), &check.target.tensor, &expected_all, tolerance);
        }
        let again = run();
        same_bits(&what, &found, &again.0);
        same_bits(&what, &found_w.target.tensor, &again.1.target.tensor);
        same_bits(&what, &found_b.target.tensor, &again.2.target.tensor);
    }
}
