//! Matrix products of whole tensors, by cuBLAS or, in the emulator, by the CPU.

use candle_core::Tensor;

use super::launch::{count_launch, pointer};
use super::types::{Arg, Operand, Product};
use crate::Result;
use crate::kernels::WriteMode;

/// Computes a product of two matrices into `output`.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn multiply(
    a: Operand<'_>,
    b: Operand<'_>,
    output: &Tensor,
    write: WriteMode,
) -> Result<()> {
    let ((rows, depth), (inner, columns)) = (a.extent()?, b.extent()?);
    assert_eq!((depth, output.dims()), (inner, &[rows, columns][..]), "shapes of a product");
    let product = Product { a, b, output, write, rows, columns, depth };
    let addresses = [pointer(product.a.tensor)?, pointer(product.b.tensor)?, pointer(output)?];
    let addresses = addresses.map(|arg| match arg {
        Arg::Pointer(address) => address,
        _ => unreachable!("`pointer` gives pointers"),
    });
    count_launch("product");
    match output.device() {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => super::driver::multiply(&product, device, addresses),
        #[cfg(feature = "cuda-emulator")]
        candle_core::Device::Cpu => on_cpu::multiply(&product, addresses),
        _ => unreachable!("`takes` has refused this device: {addresses:?}"),
    }
}

#[cfg(feature = "cuda-emulator")]
mod on_cpu {
    //! The CPU's product in f32, rounded to the output's format.

    use candle_core::DType;
    use half::{bf16, f16};

    use crate::Result;
    use crate::kernels::WriteMode;
    use crate::kernels::cuda::types::{Operand, Product};
    use crate::kernels::matmul::{Matrix, MatrixMut, Threads, multiply as multiply_f32};

    pub fn multiply(product: &Product<'_>, [_, _, output]: [u64; 3]) -> Result<()> {
        let (rows, columns) = (product.rows, product.columns);
        let wide =
            |operand: &Operand<'_>| operand.tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        let (a, b): (Vec<f32>, Vec<f32>) = (wide(&product.a)?, wide(&product.b)?);
        let mut sums = match product.write {
            WriteMode::Replace => vec![0.0; rows * columns],
            WriteMode::Add => product.output.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?,
        };
        multiply_f32(
            MatrixMut::new(&mut sums, rows, columns),
            matrix(&product.a, &a),
            matrix(&product.b, &b),
            1.0,
            WriteMode::Add,
            Threads::All,
        );
        #[expect(unsafe_code, reason = "a tensor is written in place, as the kernels do")]
        // SAFETY: the address is that of a contiguous tensor of as many elements of this format,
        // whose values nothing borrows now.
        unsafe {
            match product.output.dtype() {
                DType::F32 => write(output as *mut f32, &sums, |x| x),
                DType::F16 => write(output as *mut f16, &sums, f16::from_f32),
                DType::BF16 => write(output as *mut bf16, &sums, bf16::from_f32),
                _ => unreachable!("products are of f32, f16 or bf16"),
            }
        }
        Ok(())
    }

    fn matrix<'a>(operand: &Operand<'_>, values: &'a [f32]) -> Matrix<'a> {
        let [rows, columns] = *operand.tensor.dims() else { unreachable!("checked") };
        let matrix = Matrix::new(values, rows, columns);
        if operand.transposed { matrix.transposed() } else { matrix }
    }

    #[expect(unsafe_code, reason = "see its caller")]
    unsafe fn write<T>(to: *mut T, values: &[f32], round: impl Fn(f32) -> T) {
        for (i, &value) in values.iter().enumerate() {
            unsafe { to.add(i).write(round(value)) };
        }
    }
}
