//! Rows picked by index, and gradients sent back.

use candle_core::{DType, Device, Tensor};

use super::{FORMATS, Input, TargetCheck, close, device_test, read, reference, same_bits};
use crate::kernels::cuda::rows::{gather, scatter_add, scatter_add_value};
use crate::kernels::tests::random;
use crate::kernels::{Indices, WriteMode};

const ENTRIES: usize = 40;

/// Some entries never, some once, one in every third place.
fn indices(n: usize) -> Vec<u32> {
    random(n, 9)
        .iter()
        .enumerate()
        .map(|(i, x)| if i % 3 == 0 { 2 } else { ((x + 1.0) * 0.4 * ENTRIES as f32) as u32 })
        .collect()
}

device_test! {
    fn rows_are_picked_and_gradients_sent_back_as_on_the_cpu(device) {
        for n in [1, 16, 127, 400] {
            for width in [3, 64, 1030] {
                for format in FORMATS {
                    check(n, width, format, device);
                }
            }
        }
    }
}

fn check(n: usize, width: usize, format: DType, device: &Device) {
    let picked = indices(n);
    let on_device = Indices::new(picked.clone());
    let table = Input::random((ENTRIES, width), 1, format, device);
    let expected: Vec<f32> = {
        let table = read(&table.cpu);
        picked.iter().flat_map(|&i| table[i as usize * width..][..width].to_vec()).collect()
    };
    let rows = gather(&table.device, &on_device).unwrap();
    assert_eq!((rows.dtype(), read(&rows)), (format, expected), "a row is copied as it is");

    let g = Input::random((n, width), 2, format, device);
    for skip in [None, Some(2)] {
        let sums = reference::scatter_add(&g.cpu, &picked, skip, ENTRIES);
        for write in [WriteMode::Replace, WriteMode::Add] {
            let run = || {
                let found = TargetCheck::new((ENTRIES, width), write, 3, device);
                scatter_add(&g.device, &on_device, skip, &found.target).unwrap();
                found
            };
            let found = run();
            // The sum begins with what was there.
            found.check(&format!("scatter {format:?}"), &read(&sums), 2e-6);
            same_bits("scatter", &found.target.tensor, &run().target.tensor);
            if write == WriteMode::Replace {
                same_bits("the CPU's order of the sum", &found.target.tensor, &sums);
            }
        }
    }

    let sums = read(&reference::scatter_add(&g.cpu, &picked, None, ENTRIES));
    let once = scatter_add_value(&g.device, &on_device, ENTRIES, None).unwrap();
    assert_eq!(once.dtype(), format);
    let tolerance = 2e-6 + super::epsilon(format);
    close(&format!("scatter value {format:?}"), &once, &sums, tolerance);
    let before = read(&once);
    let twice = scatter_add_value(&g.device, &on_device, ENTRIES, Some(once)).unwrap();
    let sums: Vec<f32> = before.iter().zip(&sums).map(|(b, s)| b + s).collect();
    close(&format!("scatter value twice {format:?}"), &twice, &sums, tolerance);
}

device_test! {
    fn indices_are_uploaded_once(device) {
        let indices = Indices::new([3, 1]);
        let id = |tensor: &Tensor| tensor.id();
        assert_eq!(id(indices.on(device).unwrap()), id(indices.clone().on(device).unwrap()));
    }
}
