//! The operations of [`kernels`](super) on an NVIDIA GPU: CUDA kernels of this crate, and products by cuBLAS
//! and cuBLASLt.
//!
//! Each file has the host side of one operation; the `.cu` file of the same name has its kernels. An
//! operation of `kernels` asks `takes` whether its tensors belong here. Formats are those of `kernels`:
//! arithmetic in f32, activations and weights in f32, f16 or bf16, gradients of parameters in f32. Sums
//! have a fixed order, and random masks are the CPU's: the same input gives the same bits, which differ
//! from the CPU's by rounding alone.
//!
//! **Two machines.** With the feature `cuda` the kernels run on the card, as code that the build has
//! embedded. With `cuda-emulator`, which is for tests, `emulate` runs the same sources on the CPU
//! (`emulator/emulator.hpp` lists what it checks); products are then the CPU's, rounded. Without either
//! feature all tensors are the CPU's.
//!
//! **Trust.** A card is checked before it is used: see [`self_check`](super::self_check) and `ways`.

#![cfg_attr(
    not(any(feature = "cuda", feature = "cuda-emulator")),
    expect(dead_code, reason = "some of what a launch says is for a card only")
)]

pub(super) mod add_norm;
pub(super) mod attention;
mod columns;
pub(super) mod elementwise;
pub(super) mod gelu;
mod gemm;
mod launch;
pub(super) mod linear;
pub(super) mod loss;
pub(super) mod optimizer;
pub(super) mod rows;
pub(super) mod stack;
mod types;
pub(super) mod ways;

#[cfg(feature = "cuda")]
mod cublas_lt;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(feature = "cuda-emulator")]
mod emulator;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};

#[cfg(all(test, feature = "cuda-emulator"))]
pub(super) use emulator::kernels as kernels_of_emulator;
#[cfg(feature = "cuda-emulator")]
pub use emulator::{Fault, emulate, emulate_faulty};
pub use launch::{LaunchesByName, launches, launches_by_name};
pub use types::{wait_for_launches, waits_for_launches};
pub use ways::{Operation, go_plain, has_plain_way};

/// What the kernels of this program are compiled to, such as `sm_80, sm_90, compute_90`: machine code for cards of
/// compute capability 8.0 and 9.0, and PTX, which a driver compiles for later cards. `None` without the feature `cuda`.
pub const MACHINE_CODE: Option<&str> = option_env!("QUINTET_MACHINE_CODE");

/// Whether operations on this tensor are done by the kernels here.
#[inline]
pub(super) fn takes(tensor: &Tensor) -> bool {
    runs_on(tensor.device())
}

/// Whether operations on tensors of `device` are done by the kernels here.
pub fn runs_on(device: &Device) -> bool {
    (cfg!(feature = "cuda") && device.is_cuda())
        || (cfg!(feature = "cuda-emulator") && device.is_cpu() && emulating())
}

/// Runs `work`, in which operations on CPU tensors are the CPU's own, also in the emulator.
pub(super) fn on_cpu<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "cuda-emulator")]
    return emulator::natively(work);
    #[cfg(not(feature = "cuda-emulator"))]
    work()
}

#[cfg(feature = "cuda-emulator")]
fn emulating() -> bool {
    emulator::emulating()
}

#[cfg(not(feature = "cuda-emulator"))]
fn emulating() -> bool {
    false
}
