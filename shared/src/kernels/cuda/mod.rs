//! The operations of [`kernels`](super) on an NVIDIA GPU: own CUDA kernels, and products by cuBLAS.
//!
//! Each file has the host side of one operation; the `.cu` file of the same name has its kernels. An
//! operation of the CPU begins with a look at [`takes`] and hands over what belongs here. Formats are
//! those of `kernels`: arithmetic in f32, activations and weights in f32, f16 or bf16, gradients of
//! parameters in f32. Every sum has one order, and random masks are the CPU's: the same input gives
//! the same bits, and differs from the CPU's by rounding alone.
//!
//! **Two machines.** With the feature `cuda` the kernels run on the card, as code that the build has
//! embedded. With `cuda-emulator`, which is for tests, [`emulate`] runs the same sources on the CPU
//! (`emulator/emulator.hpp` says what it is strict about); products are then the CPU's, rounded.
//! Without either feature nothing ever is taken.

#![cfg_attr(
    not(feature = "cuda"),
    expect(dead_code, reason = "some of what a launch says is for a card only")
)]

pub mod add_norm;
pub mod attention;
mod columns;
pub mod elementwise;
pub mod gelu;
mod gemm;
mod launch;
pub mod linear;
pub mod loss;
pub mod optimizer;
pub mod rows;

#[cfg(feature = "cuda")]
mod driver;
#[cfg(feature = "cuda-emulator")]
mod emulator;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};

#[cfg(feature = "cuda-emulator")]
pub use emulator::emulate;
pub use launch::launches;

/// Whether operations on this tensor are done here.
#[inline]
pub fn takes(tensor: &Tensor) -> bool {
    runs_on(tensor.device())
}

/// Whether tensors on `device` are taken.
pub fn runs_on(device: &Device) -> bool {
    (cfg!(feature = "cuda") && device.is_cuda())
        || (cfg!(feature = "cuda-emulator") && device.is_cpu() && emulating())
}

#[cfg(feature = "cuda-emulator")]
fn emulating() -> bool {
    emulator::emulating()
}

#[cfg(not(feature = "cuda-emulator"))]
fn emulating() -> bool {
    false
}
