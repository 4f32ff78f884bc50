//! Matrix products of whole tensors, by cuBLAS or, in the emulator, by the CPU.

use candle_core::Tensor;

use super::launch::{count_launch, first_element};
use super::types::{Operand, Product, distances, matrices};
use crate::Result;
use crate::kernels::WriteMode;

/// Computes a product of two matrices into `output`, or several at once.
///
/// # Panics
/// If the shapes do not fit, or the elements of a row do not follow each other.
pub(super) fn multiply(
    a: Operand<'_>,
    b: Operand<'_>,
    output: &Tensor,
    write: WriteMode,
) -> Result<()> {
    let ((count, rows, depth), (of_b, inner, columns)) = (a.extent()?, b.extent()?);
    assert_eq!(
        (depth, of_b, matrices(output)?),
        (inner, count, (count, rows, columns)),
        "shapes of a product"
    );
    for tensor in [a.tensor, b.tensor, output] {
        let (_, _, stored) = matrices(tensor)?;
        let adjacent = stored == 1 || tensor.stride().last() == Some(&1);
        assert!(adjacent && distances(tensor).1 >= stored, "rows of a product");
    }
    let product = Product { a, b, output, write, rows, columns, depth, count };
    let addresses = [product.a.tensor, product.b.tensor, output].map(first_element);
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

    use candle_core::{DType, Tensor};
    use half::{bf16, f16};

    use crate::Result;
    use crate::kernels::WriteMode;
    use crate::kernels::cuda::types::{Operand, Product, distances};
    use crate::kernels::matmul::{Matrix, MatrixMut, Threads, multiply as multiply_f32};

    pub fn multiply(product: &Product<'_>, [_, _, output]: [u64; 3]) -> Result<()> {
        let (rows, columns) = (product.rows, product.columns);
        let (matrix_distance, row_distance) = distances(product.output);
        for n in 0..product.count {
            let [a, b] = [&product.a, &product.b].map(|operand| values(operand.tensor, n));
            let (a, b) = (a?, b?);
            let mut sums = match product.write {
                WriteMode::Replace => vec![0.0; rows * columns],
                WriteMode::Add => values(product.output, n)?,
            };
            multiply_f32(
                MatrixMut::new(&mut sums, rows, columns),
                matrix(&product.a, &a),
                matrix(&product.b, &b),
                1.0,
                WriteMode::Add,
                Threads::All,
            );
            for (row, sums) in sums.chunks_exact(columns).enumerate() {
                let at = n * matrix_distance + row * row_distance;
                #[expect(unsafe_code, reason = "a tensor is written in place, as the kernels do")]
                // SAFETY: the address is that of a tensor of this format with rows at these distances,
                // whose values nothing borrows now.
                unsafe {
                    match product.output.dtype() {
                        DType::F32 => write(output as *mut f32, at, sums, |x| x),
                        DType::F16 => write(output as *mut f16, at, sums, f16::from_f32),
                        DType::BF16 => write(output as *mut bf16, at, sums, bf16::from_f32),
                        _ => unreachable!("products are of f32, f16 or bf16"),
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the elements of one matrix, row after row.
    fn values(tensor: &Tensor, n: usize) -> Result<Vec<f32>> {
        let matrix = if tensor.rank() == 3 { tensor.get(n)? } else { tensor.clone() };
        Ok(matrix.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    fn matrix<'a>(operand: &Operand<'_>, values: &'a [f32]) -> Matrix<'a> {
        let [.., rows, columns] = *operand.tensor.dims() else { unreachable!("checked") };
        let matrix = Matrix::new(values, rows, columns);
        if operand.transposed { matrix.transposed() } else { matrix }
    }

    #[expect(unsafe_code, reason = "see its caller")]
    unsafe fn write<T>(to: *mut T, start: usize, values: &[f32], round: impl Fn(f32) -> T) {
        for (i, &value) in values.iter().enumerate() {
            unsafe { to.add(start + i).write(round(value)) };
        }
    }
}
