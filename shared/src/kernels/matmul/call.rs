//! One call of the `gemm` crate.

use gemm::Parallelism;

use super::super::isa::Isa;

/// `output = factor * a b`, or `output += factor * a b`: a [rows, depth], b [depth, columns], output [rows, columns]. An element
/// (i, j) of an operand is at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub struct Call {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub output: *mut f32,
    /// Elements from a row of the output to the next.
    pub output_stride: usize,
    pub adds: bool,
    pub a: *const f32,
    pub a_strides: [usize; 2],
    pub b: *const f32,
    pub b_strides: [usize; 2],
    pub factor: f32,
}

/// Calls a function of the crate's with the operands of a call between other arguments.
macro_rules! pass {
    ($call:expr, $function:expr, [$($before:expr),*], [$($after:expr),*]) => {{
        let [[a_row, a_column], [b_row, b_column]] =
            [$call.a_strides, $call.b_strides].map(|strides| strides.map(|stride| stride as isize));
        $function(
            $($before,)*
            $call.rows,
            $call.columns,
            $call.depth,
            $call.output,
            1,
            $call.output_stride as isize,
            $call.adds,
            $call.a,
            a_column,
            a_row,
            $call.b,
            b_column,
            b_row,
            1.0,
            $call.factor,
            false,
            false,
            false,
            $($after),*
        )
    }};
}

impl Call {
    /// Computes the product in the instruction set `isa`.
    ///
    /// # Safety
    /// All elements must lie where they may be read, or written.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    pub unsafe fn run(self, isa: Isa, threads: Parallelism) {
        // SAFETY: the caller's.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => self.avx2(threads),
                #[cfg(target_arch = "x86_64")]
                Isa::Portable => self.portable(threads),
                // The kernels that the crate chooses: the machine's best.
                _ => pass!(self, gemm::gemm, [], [threads]),
            }
        }
    }
}

/// A method of [`Call`] that uses the kernels of one module of the crate's, whose vectors have so many lanes.
#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($name:ident, $module:ident, $simd:ty, $lanes:literal) => {
        #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
        unsafe fn $name(self, threads: Parallelism) {
            use gemm_common::{gemm::gemm_basic_generic, simd::MixedSimd};
            use gemm_f32::microkernel::$module::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            let simd = <$simd as MixedSimd<f32, f32, f32, f32>>::try_new();
            let simd = simd.expect("the instruction set was found");
            // SAFETY: the caller's.
            unsafe {
                pass!(
                    self,
                    gemm_basic_generic::<
                        _,
                        f32,
                        $lanes,
                        { MR_DIV_N * $lanes },
                        NR,
                        MR_DIV_N,
                        H_M,
                        H_N,
                    >,
                    [simd],
                    [|a, b, c| a * b + c, &UKR, &H_UKR, false, threads]
                );
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
impl Call {
    kernels!(avx2, fma, gemm_common::simd::V3, 8);
    kernels!(portable, scalar, gemm_common::simd::Scalar, 1);
}
