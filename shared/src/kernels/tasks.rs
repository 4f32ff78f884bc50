//! The division of a kernel's loop: into tasks for threads, by size alone, and into lanes for vector
//! instructions. The tasks' partial sums are added up in a fixed order.

#[cfg(target_arch = "x86_64")]
use super::isa::Isa;

/// The elements of a row-wise kernel that one task handles: 64 KiB of f32, about what a second-level
/// cache holds beside the other operands.
pub(super) const TASK_ELEMENTS: usize = 16 * 1024;

/// Returns the number of rows of `width` elements that one task takes.
pub(super) fn rows_per_task(width: usize) -> usize {
    (TASK_ELEMENTS / width.max(1)).max(1)
}

/// Runs a block compiled for the widest vector instructions that [`Isa::best`] has.
///
/// A function that is handed a closure would not do: unless the closure is inlined into the code for each instruction set, it
/// is called, and compiled once, for the least of them. Functions that the block calls must be `#[inline(always)]` for the same
/// reason.
macro_rules! simd {
    ($block:expr) => {
        $crate::kernels::tasks::dispatch(
            #[inline(always)]
            || $block,
        )
    };
}
pub(super) use simd;

/// The function behind [`simd!`].
#[inline(always)]
pub(super) fn dispatch<R>(kernel: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        // `pulp::Arch` would go by the machine alone, and knows AVX2 only with a feature of the crate's.
        match Isa::best() {
            Isa::Avx512 | Isa::Avx512Vnni if let Some(simd) = V4::try_new() => {
                simd.vectorize(kernel)
            }
            Isa::Avx2 if let Some(simd) = V3::try_new() => simd.vectorize(kernel),
            _ => kernel(),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(kernel)
}

/// Returns the sum of `f` over a row, by sixteen running sums that fit vector registers.
#[inline(always)]
pub(super) fn lanes_sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let mut lanes = row.chunks_exact(16);
    for lane in &mut lanes {
        for (sum, &x) in sums.iter_mut().zip(lane) {
            *sum += f(x);
        }
    }
    let rest: f32 = lanes.remainder().iter().map(|&x| f(x)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Adds each row of `rows` to `sums`.
#[inline(always)]
pub(super) fn add_rows(sums: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

/// Returns the sum of the tasks' partial results, each `[width]`, in the order of the tasks.
pub(super) fn sum_in_order(partial: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut partial = partial.into_iter();
    let mut total = partial.next().unwrap_or_else(|| vec![0.0; width]);
    for sums in partial {
        add_rows(&mut total, &sums);
    }
    total
}
