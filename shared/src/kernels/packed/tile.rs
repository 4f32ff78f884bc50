//! The innermost loop: the sums of a few rows by a panel's outputs.
//!
//! It is written for each instruction set of [`Isa`]. With integers all of them give the bits of [`Isa::Portable`]. With
//! floats they may differ in the last bits, as AVX2 and AVX-512 round a product and its sum at once. In one set the bits of a sum
//! depend on its own operands alone, not on the rows and panels beside it.

use super::super::isa::Isa;
use super::factor::{Factor, Tile};
use super::geometry::{COLUMNS, ROWS};

mod portable;
#[cfg(target_arch = "wasm32")]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The numbers of a panel: i8, i16 or f32.
pub trait Weight: Copy + Default + Sync + Into<Self::Factor> + 'static {
    /// The type that a weight is widened to for the product.
    type Factor: Factor + Weight<Factor = Self::Factor>;

    /// `sums[r][c] += x[r] . w[c]` for x of R rows and w [steps, COLUMNS, STEP].
    fn add<const R: usize>(
        isa: Isa,
        x: Tile<'_, Self::Factor>,
        w: &[Self],
        sums: &mut Sums<Self, R>,
    );

    /// [`add`](Self::add) for two panels.
    fn add_pair<const R: usize>(
        isa: Isa,
        x: Tile<'_, Self::Factor>,
        [first, second]: [&[Self]; 2],
        sums: [&mut Sums<Self, R>; 2],
    ) {
        let [first_sums, second_sums] = sums;
        Self::add(isa, x, first, first_sums);
        Self::add(isa, x, second, second_sums);
    }
}

/// The sums of a tile's rows by a panel.
pub type Sums<W, const R: usize> = [SumsOf<W>; R];

/// The sums of one row by a panel.
pub type SumsOf<W> = [<<W as Weight>::Factor as Factor>::Sum; COLUMNS];

/// [`Weight::add`] for `sums` of up to [`ROWS`] rows.
pub fn add<W: Weight>(isa: Isa, x: Tile<'_, W::Factor>, w: &[W], sums: &mut [SumsOf<W>]) {
    const { assert!(ROWS == 5 || ROWS == 6) };
    match sums.len() {
        6 if ROWS == 6 => W::add::<6>(isa, x, w, array(sums)),
        5 => W::add::<5>(isa, x, w, array(sums)),
        4 => W::add::<4>(isa, x, w, array(sums)),
        3 => W::add::<3>(isa, x, w, array(sums)),
        2 => W::add::<2>(isa, x, w, array(sums)),
        1 => W::add::<1>(isa, x, w, array(sums)),
        rows => unreachable!("a tile of {rows} rows"),
    }
}

/// [`Weight::add_pair`] for sums of up to [`ROWS`] rows.
pub fn add_pair<W: Weight>(
    isa: Isa,
    x: Tile<'_, W::Factor>,
    w: [&[W]; 2],
    [first, second]: [&mut [SumsOf<W>]; 2],
) {
    match first.len() {
        6 if ROWS == 6 => W::add_pair::<6>(isa, x, w, [array(first), array(second)]),
        5 => W::add_pair::<5>(isa, x, w, [array(first), array(second)]),
        4 => W::add_pair::<4>(isa, x, w, [array(first), array(second)]),
        3 => W::add_pair::<3>(isa, x, w, [array(first), array(second)]),
        2 => W::add_pair::<2>(isa, x, w, [array(first), array(second)]),
        1 => W::add_pair::<1>(isa, x, w, [array(first), array(second)]),
        rows => unreachable!("a tile of {rows} rows"),
    }
}

fn array<T, const R: usize>(rows: &mut [T]) -> &mut [T; R] {
    rows.try_into().expect("as many rows")
}

impl Weight for i8 {
    type Factor = i16;

    fn add<const R: usize>(isa: Isa, x: Tile<'_, i16>, w: &[i8], sums: &mut [[i32; COLUMNS]; R]) {
        assert!(x.fits(R, w), "a tile of {R} rows beside a panel");
        match isa {
            Isa::Portable => portable::integers(x, w, sums),
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_i8(x.numbers, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => x86::avx2(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::avx512_vnni(x, w, sums),
        }
    }
}

impl Weight for i16 {
    type Factor = i16;

    fn add<const R: usize>(isa: Isa, x: Tile<'_, i16>, w: &[i16], sums: &mut [[i32; COLUMNS]; R]) {
        assert!(x.fits(R, w), "a tile of {R} rows beside a panel");
        match isa {
            Isa::Portable => portable::integers(x, w, sums),
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_i16(x.numbers, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => x86::avx2(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::avx512_vnni(x, w, sums),
        }
    }
}

impl Weight for f32 {
    type Factor = f32;

    fn add<const R: usize>(isa: Isa, x: Tile<'_, f32>, w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
        assert!(x.fits(R, w), "a tile of {R} rows beside a panel");
        match isa {
            #[cfg(target_arch = "wasm32")]
            Isa::Simd128 => simd128::add_f32(x.numbers, w, sums),
            Isa::Portable => portable::floats(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2_f32(x, w, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni => x86::avx512_f32(x, [w], [sums]),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn add_pair<const R: usize>(
        isa: Isa,
        x: Tile<'_, f32>,
        [first, second]: [&[f32]; 2],
        [first_sums, second_sums]: [&mut [[f32; COLUMNS]; R]; 2],
    ) {
        if let Isa::Avx512 | Isa::Avx512Vnni = isa {
            assert!(x.fits(R, first) && x.fits(R, second), "a tile of {R} rows beside two panels");
            x86::avx512_f32(x, [first, second], [first_sums, second_sums]);
        } else {
            Self::add(isa, x, first, first_sums);
            Self::add(isa, x, second, second_sums);
        }
    }
}
