//! The products of the `gemm` crate by its kernels of a lesser instruction set. The crate itself chooses the machine's best.

use gemm_common::gemm::gemm_basic_generic;
use gemm_common::simd::{MixedSimd, Scalar, V3};

use super::super::isa::Isa;

/// One call of the crate's: `dst = alpha * dst + beta * lhs rhs`, each operand with the strides of its columns and rows.
#[derive(Clone, Copy)]
pub struct Call {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub dst: *mut f32,
    pub dst_strides: [isize; 2],
    pub reads_dst: bool,
    pub lhs: *const f32,
    pub lhs_strides: [isize; 2],
    pub rhs: *const f32,
    pub rhs_strides: [isize; 2],
    pub factor: f32,
    pub parallelism: gemm::Parallelism,
}

impl Call {
    /// Computes the product by the kernels of `isa`; `false` if the crate has to choose among its kernels itself.
    ///
    /// # Safety
    /// All elements must lie where they may be read, or written.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    pub unsafe fn run(&self, isa: Isa) -> bool {
        // SAFETY: the caller's.
        unsafe {
            match isa {
                Isa::Avx512 | Isa::Avx512Vnni => return false,
                Isa::Avx2 => self.avx2(),
                Isa::Portable => self.portable(),
            }
        }
        true
    }
}

/// A method of [`Call`] that uses the kernels of one module of the crate's, whose vectors have so many lanes.
macro_rules! kernels {
    ($name:ident, $module:ident, $simd:ty, $lanes:literal) => {
        #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
        unsafe fn $name(&self) {
            use gemm_f32::microkernel::$module::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            let simd = <$simd as MixedSimd<f32, f32, f32, f32>>::try_new();
            let [[dst_column, dst_row], [lhs_column, lhs_row], [rhs_column, rhs_row]] =
                [self.dst_strides, self.lhs_strides, self.rhs_strides];
            // SAFETY: the caller's.
            unsafe {
                gemm_basic_generic::<_, f32, $lanes, { MR_DIV_N * $lanes }, NR, MR_DIV_N, H_M, H_N>(
                    simd.expect("the instruction set was found"),
                    self.rows,
                    self.columns,
                    self.depth,
                    self.dst,
                    dst_column,
                    dst_row,
                    self.reads_dst,
                    self.lhs,
                    lhs_column,
                    lhs_row,
                    self.rhs,
                    rhs_column,
                    rhs_row,
                    1.0,
                    self.factor,
                    false,
                    false,
                    false,
                    |a, b, c| a * b + c,
                    &UKR,
                    &H_UKR,
                    false,
                    self.parallelism,
                );
            }
        }
    };
}

impl Call {
    kernels!(avx2, fma, V3, 8);
    kernels!(portable, scalar, Scalar, 1);
}
