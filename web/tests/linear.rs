//! The speed of a base model's linear layers in this browser, shape by shape: `cargo xtask bench linear`.
#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test")]

use candle_core::{Device, Tensor};
use js_sys::Reflect;
use shared::kernels::packed::{Activation, PackedLinear};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::Performance;

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// Inputs and outputs of the attention's projections and of the two feed-forward layers.
const SHAPES: [(usize, usize); 3] = [(768, 768), (768, 3072), (3072, 768)];
const ROWS: [usize; 5] = [1, 16, 32, 64, 128];

/// As many layers as a model has, so that weights come from memory and not from a cache.
const LAYERS: usize = 12;
const REPEATS: usize = 7;

/// Multiplications and additions of one measurement.
const OPERATIONS: f64 = 1e9;

#[wasm_bindgen_test]
#[ignore = "measures: cargo xtask bench linear"]
fn linear_layers_by_shape() {
    let performance = Reflect::get(&js_sys::global(), &"performance".into()).unwrap();
    let performance: Performance = performance.unchecked_into();
    console_log!("Gop/s of a linear layer, its input quantized on the way, median of {REPEATS}");
    for (name, layer) in LAYER_KINDS {
        for (inputs, outputs) in SHAPES {
            let weights = numbers(inputs * outputs, 1);
            let layers: Vec<PackedLinear> = (0..LAYERS).map(|_| layer(&weights, inputs)).collect();
            let of_rows = ROWS.map(|rows| {
                let x = Tensor::from_vec(numbers(rows * inputs, 2), (rows, inputs), &Device::Cpu);
                let x = x.unwrap();
                // A usize has 32 bits here.
                let operations = (2 * inputs * outputs * LAYERS) as f64 * rows as f64;
                let rounds = (OPERATIONS / operations).ceil() as usize;
                let round = || {
                    for layer in &layers {
                        layer.forward(&x, None, Activation::Identity).unwrap();
                    }
                };
                round();
                let mut speeds = [(); REPEATS].map(|()| {
                    let start = performance.now();
                    (0..rounds).for_each(|_| round());
                    operations * rounds as f64 / (performance.now() - start) / 1e6
                });
                speeds.sort_by(f64::total_cmp);
                format!("{rows}: {:.1}", speeds[REPEATS / 2])
            });
            console_log!("{name:<6} {inputs:>4} x {outputs:<4}  {}", of_rows.join("   "));
        }
    }
}

type Pack = fn(&[f32], usize) -> PackedLinear;

const LAYER_KINDS: [(&str, Pack); 3] = [
    ("int8", |weights, inputs| {
        let rows: Vec<i8> = weights.iter().map(|weight| (weight * 127.0) as i8).collect();
        PackedLinear::int8(&rows, vec![1.0 / 127.0; weights.len() / inputs])
    }),
    ("int12", |weights, inputs| {
        let rows = weights.iter().map(|weight| (weight * 2047.0) as i16).collect();
        PackedLinear::int16(rows, vec![1.0 / 2047.0; weights.len() / inputs])
    }),
    ("f32", PackedLinear::f32),
];

/// Pseudorandom numbers in [-1, 1].
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
