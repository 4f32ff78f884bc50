//! Tiles in the vectors of x86-64: AVX2, and AVX-512 with its product of i16 that adds to i32 (VNNI).
#![expect(
    unsafe_code,
    reason = "vectors are loaded through pointers, by instructions that not every machine has"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi32, _mm256_storeu_si256, _mm512_add_epi32,
    _mm512_cvtepi8_epi16, _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_storeu_si512,
};

use super::super::geometry::COLUMNS;
use super::portable;

pub fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

pub fn has_avx512_vnni() -> bool {
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
}

/// A weight: i8, which is widened, or i16.
pub trait Integer: Copy {
    /// Loads sixteen integers as i16.
    ///
    /// # Safety
    /// There must be sixteen behind `w`, and the machine must have AVX2.
    unsafe fn load_avx2(w: *const Self) -> __m256i;

    /// Loads thirty-two integers as i16.
    ///
    /// # Safety
    /// There must be thirty-two behind `w`, and the machine must have AVX-512BW.
    unsafe fn load_avx512(w: *const Self) -> __m512i;
}

impl Integer for i8 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_avx2(w: *const i8) -> __m256i {
        // SAFETY: the caller's.
        _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(w.cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512bw")]
    unsafe fn load_avx512(w: *const i8) -> __m512i {
        // SAFETY: the caller's.
        _mm512_cvtepi8_epi16(unsafe { _mm256_loadu_si256(w.cast()) })
    }
}

impl Integer for i16 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_avx2(w: *const i16) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(w.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512bw")]
    unsafe fn load_avx512(w: *const i16) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(w.cast()) }
    }
}

/// See [`Weight::add`](super::Weight::add); for machines that [`has_avx2`].
pub fn avx2<W: Integer, const R: usize>(x: &[i16], w: &[W], sums: &mut [[i32; COLUMNS]; R]) {
    assert!(w.len() / COLUMNS >= x.len() / R);
    // SAFETY: `Isa::available` has found AVX2, and `w` has the steps that `x` has.
    unsafe { add_avx2(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for machines that [`has_avx512_vnni`].
pub fn avx512_vnni<W: Integer, const R: usize>(x: &[i16], w: &[W], sums: &mut [[i32; COLUMNS]; R]) {
    assert!(w.len() / COLUMNS >= x.len() / R);
    // SAFETY: `Isa::available` has found AVX-512 VNNI, and `w` has the steps that `x` has.
    unsafe { add_avx512_vnni(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for machines that [`has_avx2`].
pub fn avx2_f32<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    // The loop is inlined here for certain; a closure that is dispatched by instruction set is not.
    #[target_feature(enable = "avx2")]
    fn add<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
        portable::floats(x, w, sums);
    }
    // SAFETY: `Isa::available` has found AVX2.
    unsafe { add(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for machines that [`has_avx512_vnni`].
pub fn avx512_f32<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    #[target_feature(enable = "avx512f")]
    fn add<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
        portable::floats(x, w, sums);
    }
    // SAFETY: `Isa::available` has found AVX-512BW, which implies AVX-512F.
    unsafe { add(x, w, sums) }
}

#[target_feature(enable = "avx2")]
unsafe fn add_avx2<W: Integer, const R: usize>(x: &[i16], w: &[W], sums: &mut [[i32; COLUMNS]; R]) {
    const VECTORS: usize = COLUMNS / 8;
    let (x, w): (&[[[i16; 2]; R]], _) = (x.as_chunks::<2>().0.as_chunks().0, w.as_ptr());
    // SAFETY: a row of sums has this many vectors, and a step of `w` as many.
    unsafe {
        let mut kept = [[_mm256_set1_epi32(0); VECTORS]; R];
        for (step, x) in x.iter().enumerate() {
            let w = w.add(step * COLUMNS * 2);
            let w: [__m256i; VECTORS] = [W::load_avx2(w), W::load_avx2(w.add(16))];
            for (kept, &pair) in kept.iter_mut().zip(x) {
                let x = _mm256_set1_epi32(word(pair));
                for v in 0..VECTORS {
                    kept[v] = _mm256_add_epi32(kept[v], _mm256_madd_epi16(x, w[v]));
                }
            }
        }
        for (sums, kept) in sums.iter_mut().zip(kept) {
            let sums: *mut __m256i = sums.as_mut_ptr().cast();
            for (v, kept) in kept.into_iter().enumerate() {
                let sum = _mm256_add_epi32(_mm256_loadu_si256(sums.add(v)), kept);
                _mm256_storeu_si256(sums.add(v), sum);
            }
        }
    }
}

#[target_feature(enable = "avx512bw,avx512vnni")]
unsafe fn add_avx512_vnni<W: Integer, const R: usize>(
    x: &[i16],
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    const { assert!(COLUMNS == 16, "one vector of sums") };
    let (x, w): (&[[[i16; 2]; R]], _) = (x.as_chunks::<2>().0.as_chunks().0, w.as_ptr());
    // SAFETY: a row of sums is one vector, and so is a step of `w`.
    unsafe {
        let load = |step: usize| W::load_avx512(w.add(step * COLUMNS * 2));
        // An instruction waits for the sum that it adds to, so each sum is kept in two halves.
        let mut kept = [[_mm512_setzero_si512(); R]; 2];
        let (pairs, last) = x.as_chunks::<2>();
        for (i, steps) in pairs.iter().enumerate() {
            for (half, (kept, x)) in kept.iter_mut().zip(steps).enumerate() {
                add_step_avx512_vnni(x, load(2 * i + half), kept);
            }
        }
        if let [x] = last {
            add_step_avx512_vnni(x, load(2 * pairs.len()), &mut kept[0]);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let kept = _mm512_add_epi32(kept[0][r], kept[1][r]);
            let sum = _mm512_add_epi32(_mm512_loadu_si512(sums.as_ptr().cast()), kept);
            _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vnni")]
fn add_step_avx512_vnni<const R: usize>(x: &[[i16; 2]; R], w: __m512i, kept: &mut [__m512i; R]) {
    for (kept, &pair) in kept.iter_mut().zip(x) {
        *kept = _mm512_dpwssd_epi32(*kept, _mm512_set1_epi32(word(pair)), w);
    }
}

/// Two i16 as one word, the first in the low half.
#[inline(always)]
fn word([low, high]: [i16; 2]) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}
