//! Matrix products of whole tensors, by cuBLAS or, in the emulator, by the CPU.

#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
use candle_core::Device;
use candle_core::Tensor;

use super::launch::{count_launch, first_element};
use super::types::{Epilogue, Operand, Product, distances, matrices};
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
    let product = Product::new(a, b, output, write)?;
    let addresses = product.addresses();
    count_launch("product");
    match output.device() {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            if super::driver::multiply_single(&product, None, device, addresses)? {
                return Ok(());
            }
            super::driver::multiply_batch(&product, device, addresses)
        }
        #[cfg(feature = "cuda-emulator")]
        Device::Cpu => on_cpu::multiply(&product, None, addresses),
        _ => unreachable!("`takes` has refused this device: {addresses:?}"),
    }
}

/// Computes a single product that replaces `output`, and its epilogue; or returns `false`, where the library does not do
/// both at once, and has done nothing.
pub(super) fn multiply_with(
    a: Operand<'_>,
    b: Operand<'_>,
    output: &Tensor,
    epilogue: &Epilogue<'_>,
) -> Result<bool> {
    let done = run_with(&Product::new(a, b, output, WriteMode::Replace)?, epilogue)?;
    if done {
        count_launch(match epilogue {
            Epilogue::Bias(_) => "product_bias",
            Epilogue::RowSums(_) => "product_row_sums",
        });
    }
    Ok(done)
}

#[cfg_attr(
    not(any(feature = "cuda", feature = "cuda-emulator")),
    expect(unused_variables, reason = "nothing to run it on")
)]
fn run_with(product: &Product<'_>, epilogue: &Epilogue<'_>) -> Result<bool> {
    let addresses = product.addresses();
    match product.output.device() {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let (Epilogue::Bias(vector) | Epilogue::RowSums(vector)) = epilogue;
            let epilogue = Some((epilogue, first_element(vector)));
            super::driver::multiply_single(product, epilogue, device, addresses)
        }
        #[cfg(feature = "cuda-emulator")]
        Device::Cpu if on_cpu::refuses(product) => Ok(false),
        #[cfg(feature = "cuda-emulator")]
        Device::Cpu => {
            on_cpu::multiply(product, Some(epilogue), addresses)?;
            Ok(true)
        }
        _ => unreachable!("`takes` has refused this device: {addresses:?}"),
    }
}

impl<'a> Product<'a> {
    fn new(a: Operand<'a>, b: Operand<'a>, output: &'a Tensor, write: WriteMode) -> Result<Self> {
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
        Ok(Product { a, b, output, write, rows, columns, depth, count })
    }

    fn addresses(&self) -> [u64; 3] {
        [self.a.tensor, self.b.tensor, self.output].map(first_element)
    }
}

#[cfg(feature = "cuda-emulator")]
mod on_cpu {
    //! The CPU's product in f32, rounded to the output's format.

    use candle_core::{DType, Tensor};
    use half::{bf16, f16};

    use crate::Result;
    use crate::kernels::WriteMode;
    use crate::kernels::cuda::launch::first_element;
    use crate::kernels::cuda::types::{Epilogue, Operand, Product, distances};
    use crate::kernels::matmul::{Matrix, MatrixMut, Threads, multiply as multiply_f32};

    /// Whether a product is computed without its epilogue. NVIDIA's library decides by rules of its own; here tests come
    /// by both.
    pub fn refuses(product: &Product<'_>) -> bool {
        product.columns % 2 == 1
    }

    pub fn multiply(
        product: &Product<'_>,
        epilogue: Option<&Epilogue<'_>>,
        [_, _, output]: [u64; 3],
    ) -> Result<()> {
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
            match epilogue {
                None => {}
                Some(Epilogue::Bias(bias)) => add_bias(&mut sums, bias)?,
                Some(Epilogue::RowSums(to)) => write_row_sums(&product.a, to)?,
            }
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

    fn add_bias(sums: &mut [f32], bias: &Tensor) -> Result<()> {
        let bias: Vec<f32> = bias.to_dtype(DType::F32)?.to_vec1()?;
        for row in sums.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        }
        Ok(())
    }

    fn write_row_sums(a: &Operand<'_>, to: &Tensor) -> Result<()> {
        let a = if a.transposed { a.tensor.t()? } else { a.tensor.clone() };
        let rows: Vec<Vec<f32>> = a.to_dtype(DType::F32)?.to_vec2()?;
        let sums: Vec<f32> = rows.iter().map(|row| row.iter().sum()).collect();
        #[expect(unsafe_code, reason = "a tensor is written in place, as the kernels do")]
        // SAFETY: the tensor has an f32 for each row, and nothing borrows its values now.
        unsafe {
            write(first_element(to) as *mut f32, 0, &sums, |x| x);
        }
        Ok(())
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
