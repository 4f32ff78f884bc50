//! The innermost loop: the sums of a few rows by a panel's outputs.
//!
//! It is written for each instruction set of [`Isa`]. With integers all of them give the bits of [`Isa::Portable`].

use super::geometry::{COLUMNS, ROWS};
use super::quantize::quantize;

mod portable;
#[cfg(target_arch = "wasm32")]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The numbers that a tile multiplies: i16 or f32.
pub trait Factor: Copy + Default + Send + Sync + 'static {
    /// The sum of products.
    type Sum: Sum;

    /// Inputs that lie side by side.
    const STEP: usize;

    /// Writes a row as factors and returns their scale: integers of at most `qmax`, or the row itself and 1.
    fn convert(x: &[f32], qmax: i16, factors: &mut [Self]) -> f32;

    /// Rows [R, steps, STEP] to a tile [steps, R, STEP].
    fn interleave<const R: usize>(rows: &[Self], tile: &mut [Self]);
}

/// The numbers of a panel: i8, i16 or f32.
pub trait Weight: Copy + Default + Sync + Into<Self::Factor> + 'static {
    /// The type that a weight is widened to for the product.
    type Factor: Factor + Weight<Factor = Self::Factor>;

    /// `sums[r][c] += x[r] . w[c]` for x [steps, R, STEP] and w [steps, COLUMNS, STEP].
    fn add<const R: usize>(
        isa: Isa,
        x: &[Self::Factor],
        w: &[Self],
        sums: &mut [[<Self::Factor as Factor>::Sum; COLUMNS]; R],
    );
}

/// The sum of a tile's products: i32 of integers, else f32.
pub trait Sum: Copy + Default + Send + Sync {
    /// The sum as f32.
    fn value(self) -> f32;
}

impl Sum for i32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self as f32
    }
}

impl Sum for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    Portable,
    #[cfg(target_arch = "wasm32")]
    Simd128,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Isa {
    /// The instruction sets that this machine has, the fastest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        #[cfg(target_arch = "wasm32")]
        let found = [(Self::Portable, true), (Self::Simd128, true)];
        #[cfg(target_arch = "x86_64")]
        let found = [
            (Self::Portable, true),
            (Self::Avx2, x86::has_avx2()),
            (Self::Avx512Vnni, x86::has_avx512_vnni()),
        ];
        #[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
        let found = [(Self::Portable, true)];
        found.into_iter().filter_map(|(isa, is_there)| is_there.then_some(isa))
    }

    /// The fastest instruction set that this machine has.
    pub fn best() -> Self {
        Self::available().next_back().expect("one is portable")
    }
}

/// [`Weight::add`] for `sums` of up to [`ROWS`] rows.
pub fn add<W: Weight>(
    isa: Isa,
    x: &[W::Factor],
    w: &[W],
    sums: &mut [[<W::Factor as Factor>::Sum; COLUMNS]],
) {
    const { assert!(ROWS == 5) };
    if let Ok(sums) = <&mut [_; 5]>::try_from(&mut *sums) {
        W::add(isa, x, w, sums);
    } else if let Ok(sums) = <&mut [_; 4]>::try_from(&mut *sums) {
        W::add(isa, x, w, sums);
    } else if let Ok(sums) = <&mut [_; 3]>::try_from(&mut *sums) {
        W::add(isa, x, w, sums);
    } else if let Ok(sums) = <&mut [_; 2]>::try_from(&mut *sums) {
        W::add(isa, x, w, sums);
    } else if let Ok(sums) = <&mut [_; 1]>::try_from(&mut *sums) {
        W::add(isa, x, w, sums);
    }
}

/// [`Factor::interleave`] for up to [`ROWS`] rows.
pub fn interleave_rows<F: Factor>(rows: &[F], count: usize, tile: &mut [F]) {
    const { assert!(ROWS == 5) };
    match count {
        5 => F::interleave::<5>(rows, tile),
        4 => F::interleave::<4>(rows, tile),
        3 => F::interleave::<3>(rows, tile),
        2 => F::interleave::<2>(rows, tile),
        _ => F::interleave::<1>(rows, tile),
    }
}

impl Factor for i16 {
    type Sum = i32;

    const STEP: usize = 2;

    fn convert(x: &[f32], qmax: i16, factors: &mut [i16]) -> f32 {
        quantize(x, qmax, factors)
    }

    fn interleave<const R: usize>(rows: &[i16], tile: &mut [i16]) {
        interleave::<i16, 2, R>(rows, tile);
    }
}

impl Factor for f32 {
    type Sum = f32;

    const STEP: usize = 1;

    fn convert(x: &[f32], _: i16, factors: &mut [f32]) -> f32 {
        factors.copy_from_slice(x);
        1.0
    }

    fn interleave<const R: usize>(rows: &[f32], tile: &mut [f32]) {
        interleave::<f32, 1, R>(rows, tile);
    }
}

impl Weight for i8 {
    type Factor = i16;

    fn add<const R: usize>(isa: Isa, x: &[i16], w: &[i8], sums: &mut [[i32; COLUMNS]; R]) {
        assert_eq!(x.len() / R, w.len() / COLUMNS, "steps");
        match isa {
            Isa::Portable => portable::integers(x, w, sums),
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_i8(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::avx512_vnni(x, w, sums),
        }
    }
}

impl Weight for i16 {
    type Factor = i16;

    fn add<const R: usize>(isa: Isa, x: &[i16], w: &[i16], sums: &mut [[i32; COLUMNS]; R]) {
        assert_eq!(x.len() / R, w.len() / COLUMNS, "steps");
        match isa {
            Isa::Portable => portable::integers(x, w, sums),
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_i16(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::avx512_vnni(x, w, sums),
        }
    }
}

impl Weight for f32 {
    type Factor = f32;

    fn add<const R: usize>(isa: Isa, x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
        assert_eq!(x.len() / R, w.len() / COLUMNS, "steps");
        match isa {
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_f32(x, w, sums),
            Isa::Portable => portable::floats(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2_f32(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::avx512_f32(x, w, sums),
        }
    }
}

/// Rows [R, steps, STEP] to [steps, R, STEP].
pub fn interleave<F: Copy, const STEP: usize, const R: usize>(rows: &[F], tile: &mut [F]) {
    let width = rows.len() / R;
    let rows: [&[[F; STEP]]; R] = std::array::from_fn(|r| rows[r * width..][..width].as_chunks().0);
    let places: &mut [[[F; STEP]; R]] = tile.as_chunks_mut().0.as_chunks_mut().0;
    for (step, place) in places.iter_mut().enumerate() {
        *place = rows.map(|row| row[step]);
    }
}
