//! The speed of products by relaxed SIMD's dot product beside that of `shared::kernels::packed`'s tiles, in this browser:
//! `cargo xtask bench linear`. `bench/README.md` says what was found.
//!
//! It measures innermost loops alone, over weights of as many layers as a model has, block by block as `packed` does. Where the
//! browser lacks the instructions this module is invalid, so none of it is in a module that visitors load.
#![cfg(target_arch = "wasm32")]
#![expect(unsafe_code, reason = "vectors are loaded through pointers")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::arch::wasm32::*;

use js_sys::Reflect;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::Performance;

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const SHAPES: [(usize, usize); 3] = [(768, 768), (768, 3072), (3072, 768)];
const ROWS: [usize; 4] = [15, 30, 60, 125];
const LAYERS: usize = 12;
const REPEATS: usize = 7;

/// Multiplications and additions of one measurement.
const OPERATIONS: f64 = 4e8;

/// Rows of a tile, vectors of four sums in a row, outputs of a panel.
const TILE: usize = 5;
const VECTORS: usize = 2;
const COLUMNS: usize = 4 * VECTORS;

/// Bytes of a block of a panel.
const BLOCK_BYTES: usize = 16 * 1024;

type Sums = [[v128; VECTORS]; TILE];

/// A way to multiply: `sums += x w` over `steps`. x is [steps, TILE] words of four bytes.
struct Way {
    name: &'static str,
    /// Inputs of a step, and bytes of a step's weights.
    inputs: usize,
    bytes: usize,
    add: unsafe fn(*const u32, *const u8, usize, &mut Sums),
    /// Whether all of it is done twice, once for each half of an activation's bits.
    twice: bool,
}

const WAYS: [Way; 4] = [
    // What `packed` does: i16 by i16.
    Way { name: "i16", inputs: 2, bytes: 32, add: add_i16, twice: false },
    Way { name: "relaxed i32x4, 7 bits", inputs: 4, bytes: 32, add: add_relaxed32, twice: false },
    Way { name: "relaxed i16x8, 7 bits", inputs: 4, bytes: 32, add: add_relaxed16, twice: false },
    // The upper and the lower seven bits of an activation, each by all weights: sums are exact.
    Way { name: "relaxed i32x4, 14 bits", inputs: 4, bytes: 32, add: add_relaxed32, twice: true },
];

/// Loads weights and words of activations, and adds their products.
macro_rules! way {
    ($name:ident, $multiply_add:expr) => {
        #[target_feature(enable = "relaxed-simd")]
        unsafe fn $name(mut x: *const u32, mut w: *const u8, steps: usize, sums: &mut Sums) {
            // SAFETY: the caller's.
            unsafe {
                let ones = i16x8_splat(1);
                let mut kept = *sums;
                for _ in 0..steps {
                    let w_now = [v128_load(w.cast()), v128_load(w.add(16).cast())];
                    for (r, kept) in kept.iter_mut().enumerate() {
                        let x_now = v128_load32_splat(x.add(r));
                        for (kept, w_now) in kept.iter_mut().zip(w_now) {
                            *kept = $multiply_add(x_now, w_now, *kept, ones);
                        }
                    }
                    (x, w) = (x.add(TILE), w.add(32));
                }
                *sums = kept;
            }
        }
    };
}

way!(add_i16, |x, w, sum, _| i32x4_add(sum, i32x4_dot_i16x8(x, w)));
way!(add_relaxed32, |x, w, sum, _| i32x4_relaxed_dot_i8x16_i7x16_add(w, x, sum));
way!(add_relaxed16, |x, w, sum, ones| {
    i32x4_add(sum, i32x4_dot_i16x8(i16x8_relaxed_dot_i8x16_i7x16(w, x), ones))
});

impl Way {
    /// The sums of x [rows / TILE, steps, TILE] by a layer's weights [panels, steps, bytes], added up so that all count.
    fn product(&self, x: &[u32], w: &[u8], rows: usize, inputs: usize) -> i32 {
        let steps = inputs / self.inputs;
        let (panel_bytes, most_steps) = (steps * self.bytes, BLOCK_BYTES / self.bytes);
        let mut sums = vec![[[i32x4_splat(0); VECTORS]; TILE]; rows / TILE];
        let mut total = i32x4_splat(0);
        for panel in w.chunks_exact(panel_bytes) {
            sums.fill([[i32x4_splat(0); VECTORS]; TILE]);
            for half in 0..=usize::from(self.twice) {
                if half > 0 {
                    let shift = |sum: &mut v128| *sum = i32x4_shl(*sum, 7);
                    sums.as_flattened_mut().as_flattened_mut().iter_mut().for_each(shift);
                }
                for start in (0..steps).step_by(most_steps) {
                    let count = most_steps.min(steps - start);
                    let block = &panel[start * self.bytes..][..count * self.bytes];
                    for (tile, sums) in sums.iter_mut().enumerate() {
                        let x = &x[(tile * steps + start) * TILE..][..count * TILE];
                        // SAFETY: both have so many steps.
                        unsafe { (self.add)(x.as_ptr(), block.as_ptr(), count, sums) }
                    }
                }
            }
            for sum in sums.as_flattened().as_flattened() {
                total = i32x4_add(total, *sum);
            }
        }
        i32x4_extract_lane::<0>(total)
    }
}

#[wasm_bindgen_test]
#[ignore = "measures: cargo xtask bench linear"]
fn products_by_relaxed_simd() {
    let performance = Reflect::get(&js_sys::global(), &"performance".into()).unwrap();
    let performance: Performance = performance.unchecked_into();
    console_log!("Gop/s of innermost loops, median of {REPEATS}, by rows");
    // Numbers of seven bits in every byte, so that every way is defined.
    let x = vec![0x0321_4307_u32; 125 * 3072 / 2];
    let w: Vec<u8> = (0..LAYERS * 768 * 3072 * 2).map(|i| (i % 61) as u8).collect();
    for (inputs, outputs) in SHAPES {
        let mut speeds = vec![vec![Vec::new(); ROWS.len()]; WAYS.len()];
        let mut checksum = 0_i32;
        for _ in 0..REPEATS {
            // In turns, so that a busy machine is busy for all.
            for (at, rows) in ROWS.into_iter().enumerate() {
                let operations = (2 * inputs * outputs * LAYERS) as f64 * rows as f64;
                let rounds = (OPERATIONS / operations).ceil() as usize;
                for (way, speeds) in WAYS.iter().zip(&mut speeds) {
                    let layer = inputs / way.inputs * way.bytes * outputs / COLUMNS;
                    let start = performance.now();
                    for w in w.chunks_exact(layer).take(LAYERS).cycle().take(LAYERS * rounds) {
                        checksum = checksum.wrapping_add(way.product(&x, w, rows, inputs));
                    }
                    let ms = performance.now() - start;
                    speeds[at].push(operations * rounds as f64 / ms / 1e6);
                }
            }
        }
        assert_ne!(checksum, 0);
        for (way, speeds) in WAYS.iter().zip(&mut speeds) {
            let of_rows = ROWS.iter().zip(speeds).map(|(rows, speeds)| {
                speeds.sort_by(f64::total_cmp);
                format!("{rows}: {:.1}", speeds[REPEATS / 2])
            });
            let of_rows: Vec<String> = of_rows.collect();
            console_log!("{:<22} {inputs:>4} x {outputs:<4}  {}", way.name, of_rows.join("   "));
        }
    }
}
