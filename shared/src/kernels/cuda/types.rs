//! The launch of a kernel and the product of two matrices, as the card (`driver`) and the emulator take them, and whether a card
//! is waited for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Tensor;

use crate::Result;
use crate::kernels::WriteMode;
use crate::kernels::random::DropoutMask;

static WAITS: AtomicBool = AtomicBool::new(false);

/// Makes this process wait for each kernel and product on a card, or no longer.
///
/// A kernel that fails is otherwise reported by whichever call comes next, and with its name only if that waits.
pub fn wait_for_launches(wait: bool) {
    WAITS.store(wait, Ordering::Relaxed);
}

/// Returns whether each kernel and product is waited for.
pub fn waits_for_launches() -> bool {
    WAITS.load(Ordering::Relaxed)
}

/// A kernel and the extent of its grid.
pub(super) struct Launch {
    /// The name of the `.cu` file that has the kernel, without its ending.
    pub module: &'static str,
    pub function: String,
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, grid: [x, y, z], block, shared_bytes, .. } = self;
        write!(f, "kernel `{function}` ({x} x {y} x {z} blocks of {block} threads")?;
        match shared_bytes {
            0 => f.write_str(")"),
            bytes => write!(f, " with {bytes} bytes of shared memory)"),
        }
    }
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg {
    /// The address of a tensor's first element, or 0 without a tensor.
    Pointer(u64),
    U32(u32),
    F32(f32),
    F64(f64),
}

impl Arg {
    pub const NULL: Self = Self::Pointer(0);

    pub fn size(value: usize) -> Self {
        Self::U32(u32::try_from(value).expect("tensors have less than 2^32 elements"))
    }

    pub fn flag(value: bool) -> Self {
        Self::U32(u32::from(value))
    }

    /// Returns the key, threshold and scale of a mask, or those of a mask that keeps everything.
    pub fn mask(mask: Option<DropoutMask>) -> [Self; 4] {
        let (key, threshold, scale) = mask.map_or(([0, 0], 0, 1.0), DropoutMask::parts);
        [Self::U32(key[0]), Self::U32(key[1]), Self::U32(threshold), Self::F32(scale)]
    }
}

/// A matrix of a product, as stored or transposed; or one for each of several products, [products, rows, columns].
/// Rows, and matrices, may be any distance apart.
pub(super) struct Operand<'a> {
    pub tensor: &'a Tensor,
    pub transposed: bool,
}

/// The product of a [rows, depth] and b [depth, columns], which replaces output [rows, columns] or is added to it;
/// or `count` such products, each of matrices of its own. Sums are in f32.
pub(super) struct Product<'a> {
    pub a: Operand<'a>,
    pub b: Operand<'a>,
    pub output: &'a Tensor,
    pub write: WriteMode,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub count: usize,
}

/// What one call computes together with a single product.
pub(super) enum Epilogue<'a> {
    /// A bias `[columns]`, in the format of the output, is added to each row before it is rounded.
    Bias(&'a Tensor),
    /// The sums of the rows of a, over the depth, go to f32 `[rows]`.
    RowSums(&'a Tensor),
}

impl Product<'_> {
    /// Returns the factor of what is in the output already.
    #[cfg(feature = "cuda")]
    pub fn beta(&self) -> f32 {
        match self.write {
            WriteMode::Replace => 0.0,
            WriteMode::Add => 1.0,
        }
    }
}

impl fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a, b, output, rows, columns, depth, count, .. } = self;
        let formats = [a.tensor, b.tensor, output].map(|tensor| tensor.dtype().as_str());
        let [a, b, output] = formats;
        write!(
            f,
            "product of {a} [{rows}, {depth}] and {b} [{depth}, {columns}] into {output} by cuBLAS"
        )?;
        if *count > 1 { write!(f, ", {count} at once") } else { Ok(()) }
    }
}

impl<'a> Operand<'a> {
    pub fn new(tensor: &'a Tensor) -> Self {
        Self { tensor, transposed: false }
    }

    pub fn transposed(tensor: &'a Tensor) -> Self {
        Self { tensor, transposed: true }
    }

    /// Returns the number of matrices, and the rows and columns of each as used.
    pub fn extent(&self) -> Result<(usize, usize, usize)> {
        let (count, rows, columns) = matrices(self.tensor)?;
        Ok(if self.transposed { (count, columns, rows) } else { (count, rows, columns) })
    }
}

/// Returns the number of matrices in [rows, columns] or [matrices, rows, columns], and the extent of each.
pub(super) fn matrices(tensor: &Tensor) -> Result<(usize, usize, usize)> {
    match *tensor.dims() {
        [rows, columns] => Ok((1, rows, columns)),
        _ => Ok(tensor.dims3()?),
    }
}

/// Returns the distance between matrices, 0 for a single one, and that between their rows.
pub(super) fn distances(tensor: &Tensor) -> (usize, usize) {
    match *tensor.stride() {
        [row, _] => (0, row),
        [matrix, row, _] => (matrix, row),
        _ => unreachable!("`matrices` has refused these dimensions"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn errors_name_a_kernel_and_a_product_with_their_sizes() {
        let mut launch = Launch {
            module: "attention",
            function: "attention_forward_bf16_32".to_owned(),
            grid: [4, 12, 16],
            block: 256,
            shared_bytes: 68_608,
        };
        let told = "kernel `attention_forward_bf16_32` (4 x 12 x 16 blocks of 256 threads with 68608 bytes of \
                    shared memory)";
        assert_eq!(launch.to_string(), told);
        launch.shared_bytes = 0;
        assert!(launch.to_string().ends_with("256 threads)"));

        let tensor = |shape, format| Tensor::zeros(shape, format, &Device::Cpu).unwrap();
        let [a, b] = [tensor((331, 768), DType::BF16), tensor((3072, 768), DType::BF16)];
        let mut product = Product {
            a: Operand::new(&a),
            b: Operand::transposed(&b),
            output: &tensor((331, 3072), DType::F32),
            write: WriteMode::Replace,
            rows: 331,
            columns: 3072,
            depth: 768,
            count: 1,
        };
        let told = "product of bf16 [331, 768] and bf16 [768, 3072] into f32 by cuBLAS";
        assert_eq!(product.to_string(), told);
        product.count = 12;
        assert_eq!(product.to_string(), format!("{told}, 12 at once"));
    }
}
