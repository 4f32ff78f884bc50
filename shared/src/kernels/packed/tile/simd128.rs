//! Tiles in WebAssembly's 128-bit vectors.
//!
//! The loop is not unrolled on purpose: the compiler would move the loads of all steps to the front, which takes more
//! registers than an x86-64 has and costs a quarter of the speed.
#![expect(unsafe_code, reason = "vectors are loaded through pointers")]

use std::arch::wasm32::{
    f32x4_add, f32x4_mul, i16x8_load_extend_i8x8, i32x4_add, i32x4_dot_i16x8, v128, v128_load,
    v128_load32_splat, v128_store,
};

use super::super::geometry::COLUMNS;

/// Vectors of four sums in a row.
const VECTORS: usize = COLUMNS / 4;

/// See [`Weight::add`](super::Weight::add).
pub fn add_i8<const R: usize>(x: &[i16], w: &[i8], sums: &mut [[i32; COLUMNS]; R]) {
    let steps = x.len() / (2 * R);
    assert!(w.len() >= steps * COLUMNS * 2);
    // SAFETY: a step is two i16 of each row, and as many i8 of each output, eight in half a vector.
    unsafe {
        let load = |w: *const i8| i16x8_load_extend_i8x8(w);
        add::<R, i8, i32>(x.as_ptr().cast(), w.as_ptr(), 8, steps, sums, load, dot_add);
    }
}

/// See [`Weight::add`](super::Weight::add).
pub fn add_i16<const R: usize>(x: &[i16], w: &[i16], sums: &mut [[i32; COLUMNS]; R]) {
    let steps = x.len() / (2 * R);
    assert!(w.len() >= steps * COLUMNS * 2);
    // SAFETY: a step is two i16 of each row, and as many of each output, eight in a vector.
    unsafe {
        let load = |w: *const i16| v128_load(w.cast());
        add::<R, i16, i32>(x.as_ptr().cast(), w.as_ptr(), 8, steps, sums, load, dot_add);
    }
}

/// See [`Weight::add`](super::Weight::add).
pub fn add_f32<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    let steps = x.len() / R;
    assert!(w.len() >= steps * COLUMNS);
    let multiply_add = |x, w, sum| f32x4_add(sum, f32x4_mul(x, w));
    // SAFETY: a step is one f32 of each row and of each output, four in a vector.
    unsafe {
        let load = |w: *const f32| v128_load(w.cast());
        add::<R, f32, f32>(x.as_ptr().cast(), w.as_ptr(), 4, steps, sums, load, multiply_add);
    }
}

fn dot_add(x: v128, w: v128, sum: v128) -> v128 {
    i32x4_add(sum, i32x4_dot_i16x8(x, w))
}

/// Adds the products of x [steps, R] words and w [steps, VECTORS, `in_vector`]; `load` loads a vector of the latter. S has four
/// bytes.
///
/// # Safety
/// The pointers must point to as much.
#[inline(always)]
unsafe fn add<const R: usize, W, S>(
    mut x: *const u32,
    mut w: *const W,
    in_vector: usize,
    steps: usize,
    sums: &mut [[S; COLUMNS]; R],
    load: impl Fn(*const W) -> v128,
    multiply_add: impl Fn(v128, v128, v128) -> v128,
) {
    const { assert!(size_of::<S>() == 4) };
    let sums: *mut v128 = sums.as_mut_ptr().cast();
    // SAFETY: sums are of four bytes, so a row of them is this many vectors; for the rest, the caller's.
    unsafe {
        let at = |r, v| sums.add(r * VECTORS + v);
        let mut kept: [[v128; VECTORS]; R] =
            std::array::from_fn(|r| std::array::from_fn(|v| v128_load(at(r, v))));
        for _ in 0..steps {
            let w_now: [v128; VECTORS] = std::array::from_fn(|v| load(w.add(v * in_vector)));
            for (r, kept) in kept.iter_mut().enumerate() {
                let x_now = v128_load32_splat(x.add(r));
                for (kept, w_now) in kept.iter_mut().zip(w_now) {
                    *kept = multiply_add(x_now, w_now, *kept);
                }
            }
            (x, w) = (x.add(R), w.add(VECTORS * in_vector));
        }
        for (r, kept) in kept.into_iter().enumerate() {
            for (v, kept) in kept.into_iter().enumerate() {
                v128_store(at(r, v), kept);
            }
        }
    }
}
