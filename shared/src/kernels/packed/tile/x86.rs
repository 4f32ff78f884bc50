//! Tiles in the vectors of x86-64: AVX2, and AVX-512 with its product of i16 that adds to i32 (VNNI).
#![expect(
    unsafe_code,
    reason = "vectors are loaded through pointers, by instructions that not every machine has"
)]

use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps,
    _mm256_cvtepi8_epi16, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm256_storeu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_cvtepi8_epi16, _mm512_dpwssd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_ps, _mm512_storeu_si512,
};

use super::super::factor::{Factor, Tile};
use super::super::geometry::{COLUMNS, INTERLEAVED};

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

/// See [`Weight::add`](super::Weight::add); for machines that have AVX2 and FMA.
pub fn avx2<W: Integer, const R: usize>(x: Tile<'_, i16>, w: &[W], sums: &mut [[i32; COLUMNS]; R]) {
    assert!(x.fits(R, w));
    // SAFETY: `Isa::available` has found AVX2, and the tile has R rows and the steps of `w`.
    unsafe { add_avx2(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for machines that have AVX-512 and VNNI.
pub fn avx512_vnni<W: Integer, const R: usize>(
    x: Tile<'_, i16>,
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    assert!(x.fits(R, w));
    // SAFETY: `Isa::available` has found AVX-512 VNNI, and the tile has R rows and the steps of `w`.
    unsafe { add_avx512_vnni(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for machines that have AVX2 and FMA.
pub fn avx2_f32<const R: usize>(x: Tile<'_, f32>, w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    assert!(x.fits(R, w));
    // SAFETY: `Isa::available` has found AVX2 and FMA, and the tile has R rows and the steps of `w`.
    unsafe { add_avx2_f32(x, w, sums) }
}

/// See [`Weight::add`](super::Weight::add); for one panel or two, on machines that have AVX-512.
pub fn avx512_f32<const R: usize, const PANELS: usize>(
    x: Tile<'_, f32>,
    w: [&[f32]; PANELS],
    sums: [&mut [[f32; COLUMNS]; R]; PANELS],
) {
    assert!(w.iter().all(|w| x.fits(R, w)));
    // SAFETY: `Isa::available` has found AVX-512, and the tile has R rows and the steps of each of `w`.
    unsafe { add_avx512_f32(x, w.map(<[f32]>::as_ptr), sums) }
}

/// The first number of each row.
///
/// # Safety
/// The tile must have R rows.
#[inline(always)]
unsafe fn rows<F: Factor, const R: usize>(x: Tile<'_, F>) -> [*const F; R] {
    const { assert!(!INTERLEAVED) };
    // SAFETY: the caller's.
    std::array::from_fn(|r| unsafe { x.numbers.as_ptr().add(r * x.stride) })
}

#[target_feature(enable = "avx2,fma")]
unsafe fn add_avx2_f32<const R: usize>(
    x: Tile<'_, f32>,
    w: &[f32],
    sums: &mut [[f32; COLUMNS]; R],
) {
    const VECTORS: usize = COLUMNS / 8;
    // SAFETY: a row of sums has this many vectors, and a step of `w` as many; each row has a number for each step.
    unsafe {
        let (rows, w): ([_; R], _) = (rows(x), w.as_ptr());
        let mut kept = [[_mm256_setzero_ps(); VECTORS]; R];
        for step in 0..x.steps {
            let w = w.add(step * COLUMNS);
            let w: [__m256; VECTORS] = [_mm256_loadu_ps(w), _mm256_loadu_ps(w.add(8))];
            for (kept, row) in kept.iter_mut().zip(rows) {
                let x = _mm256_set1_ps(*row.add(step));
                for v in 0..VECTORS {
                    kept[v] = _mm256_fmadd_ps(x, w[v], kept[v]);
                }
            }
        }
        for (sums, kept) in sums.iter_mut().zip(kept) {
            let sums = sums.as_mut_ptr();
            for (v, kept) in kept.into_iter().enumerate() {
                let place = sums.add(8 * v);
                _mm256_storeu_ps(place, _mm256_add_ps(_mm256_loadu_ps(place), kept));
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn add_avx512_f32<const R: usize, const PANELS: usize>(
    x: Tile<'_, f32>,
    w: [*const f32; PANELS],
    sums: [&mut [[f32; COLUMNS]; R]; PANELS],
) {
    const { assert!(COLUMNS == 16, "one vector of sums") };
    // SAFETY: a row of sums is one vector, and so is a step of each of `w`; each row has a number for each step.
    unsafe {
        let rows: [_; R] = rows(x);
        let mut kept = [[_mm512_setzero_ps(); PANELS]; R];
        for step in 0..x.steps {
            let w: [__m512; PANELS] = w.map(|w| _mm512_loadu_ps(w.add(step * COLUMNS)));
            for (kept, row) in kept.iter_mut().zip(rows) {
                let x = _mm512_set1_ps(*row.add(step));
                for p in 0..PANELS {
                    kept[p] = _mm512_fmadd_ps(x, w[p], kept[p]);
                }
            }
        }
        for (p, sums) in sums.into_iter().enumerate() {
            for (sums, kept) in sums.iter_mut().zip(kept) {
                let place = sums.as_mut_ptr();
                _mm512_storeu_ps(place, _mm512_add_ps(_mm512_loadu_ps(place), kept[p]));
            }
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn add_avx2<W: Integer, const R: usize>(
    x: Tile<'_, i16>,
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    const VECTORS: usize = COLUMNS / 8;
    // SAFETY: a row of sums has this many vectors, and a step of `w` as many; each row has a pair for each step.
    unsafe {
        let (rows, w): ([_; R], _) = (rows(x), w.as_ptr());
        let mut kept = [[_mm256_set1_epi32(0); VECTORS]; R];
        for step in 0..x.steps {
            let w = w.add(step * COLUMNS * 2);
            let w: [__m256i; VECTORS] = [W::load_avx2(w), W::load_avx2(w.add(16))];
            for (kept, row) in kept.iter_mut().zip(rows) {
                let x = _mm256_set1_epi32(pair(row, step));
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
    x: Tile<'_, i16>,
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    const { assert!(COLUMNS == 16, "one vector of sums") };
    // SAFETY: a row of sums is one vector, and so is a step of `w`; each row has a pair for each step.
    unsafe {
        let (rows, w): ([_; R], _) = (rows(x), w.as_ptr());
        let load = |step: usize| W::load_avx512(w.add(step * COLUMNS * 2));
        // An instruction waits for the sum that it adds to, so each sum is kept in two halves.
        let mut kept = [[_mm512_setzero_si512(); R]; 2];
        for step in (0..x.steps - x.steps % 2).step_by(2) {
            add_step_avx512_vnni(&rows, step, load(step), &mut kept[0]);
            add_step_avx512_vnni(&rows, step + 1, load(step + 1), &mut kept[1]);
        }
        if x.steps % 2 == 1 {
            add_step_avx512_vnni(&rows, x.steps - 1, load(x.steps - 1), &mut kept[0]);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let kept = _mm512_add_epi32(kept[0][r], kept[1][r]);
            let sum = _mm512_add_epi32(_mm512_loadu_si512(sums.as_ptr().cast()), kept);
            _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
        }
    }
}

/// # Safety
/// Each row must have a pair for the step.
#[inline]
#[target_feature(enable = "avx512bw,avx512vnni")]
unsafe fn add_step_avx512_vnni<const R: usize>(
    rows: &[*const i16; R],
    step: usize,
    w: __m512i,
    kept: &mut [__m512i; R],
) {
    for (kept, &row) in kept.iter_mut().zip(rows) {
        // SAFETY: the caller's.
        let x = unsafe { pair(row, step) };
        *kept = _mm512_dpwssd_epi32(*kept, _mm512_set1_epi32(x), w);
    }
}

/// Two neighbouring i16 as one word, the first in the low half.
///
/// # Safety
/// The row must have a pair for the step.
#[inline(always)]
unsafe fn pair(row: *const i16, step: usize) -> i32 {
    // SAFETY: the caller's.
    i32::from_ne_bytes(unsafe { row.add(2 * step).cast::<[u8; 4]>().read() })
}
