//! Starting a kernel: what the operations say, and who carries it out.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Shape, Storage, Tensor};

use crate::Result;
use crate::kernels::random::DropoutMask;

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// How many kernels and products this process has started.
pub fn launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

pub(super) fn count_launch() {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
}

/// A kernel and the extent of its grid.
pub(super) struct Launch {
    /// The `.cu` file that has it, without the ending.
    pub module: &'static str,
    pub function: String,
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg {
    /// The address of a tensor's first element, or 0.
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

    /// The key, threshold and scale of a mask; without one, of the mask that keeps everything.
    pub fn mask(mask: Option<DropoutMask>) -> [Self; 4] {
        let (key, threshold, scale) = mask.map_or(([0, 0], 0, 1.0), DropoutMask::parts);
        [Self::U32(key[0]), Self::U32(key[1]), Self::U32(threshold), Self::F32(scale)]
    }

    pub fn optional(tensor: Option<&Tensor>) -> Result<Self> {
        tensor.map_or(Ok(Self::NULL), pointer)
    }
}

impl Launch {
    /// Waits for nothing: on a card the kernel runs when those before it on the stream have.
    ///
    /// The tensors behind the pointers must be alive until this returns.
    #[cfg_attr(
        not(any(feature = "cuda", feature = "cuda-emulator")),
        expect(unused_variables, clippy::unused_self, reason = "nothing to run it on")
    )]
    pub fn run(&self, device: &Device, args: &[Arg]) -> Result<()> {
        count_launch();
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => super::driver::launch(self, device, args),
            #[cfg(feature = "cuda-emulator")]
            Device::Cpu => super::emulator::launch(self, args),
            _ => unreachable!("`takes` has refused this device"),
        }
    }
}

/// The address of the first element of a contiguous tensor.
pub(super) fn pointer(tensor: &Tensor) -> Result<Arg> {
    if !tensor.is_contiguous() {
        return Err(candle_core::Error::Msg("this kernel takes contiguous tensors".into()).into());
    }
    Ok(address(tensor))
}

/// The address of the first element of a matrix that may be a block of columns of a wider one, and
/// how many elements its rows are apart.
pub(super) fn strided_pointer(matrix: &Tensor) -> Result<(Arg, Arg)> {
    let (_, columns) = matrix.dims2()?;
    match *matrix.stride() {
        [stride, 1] if stride >= columns => Ok((address(matrix), Arg::size(stride))),
        _ => Ok((pointer(matrix)?, Arg::size(columns))),
    }
}

fn address(tensor: &Tensor) -> Arg {
    let (storage, layout) = tensor.storage_and_layout();
    let start = layout.start_offset() * tensor.dtype().size_in_bytes();
    Arg::Pointer(address_of(&storage) + start as u64)
}

fn address_of(storage: &Storage) -> u64 {
    match storage {
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => super::driver::address(storage),
        #[cfg(feature = "cuda-emulator")]
        Storage::Cpu(storage) => super::emulator::address(storage),
        _ => unreachable!("`takes` has refused this device"),
    }
}

/// The flag that allows loads of several elements at once: every array begins at a multiple of 16
/// bytes, as do its rows of `width` elements if `width` is a multiple of `each`.
pub(super) fn vector(arrays: &[Arg], width: usize, each: usize) -> Arg {
    let aligned = |arg: &Arg| matches!(arg, Arg::Pointer(address) if address % 16 == 0);
    Arg::flag(width.is_multiple_of(each) && arrays.iter().all(aligned))
}

/// A tensor for a kernel to fill.
pub(super) fn empty(shape: impl Into<Shape>, format: DType, device: &Device) -> Result<Tensor> {
    #[expect(unsafe_code, reason = "memory that is about to be written")]
    // SAFETY: every caller launches a kernel that writes all elements before anything reads them.
    let tensor = unsafe { Tensor::empty(shape, format, device)? };
    #[cfg(feature = "cuda-emulator")]
    if device.is_cpu() {
        super::emulator::spoil(&tensor);
    }
    Ok(tensor)
}

/// The ending of a kernel's name that stands for a format.
pub(super) fn suffix(format: DType) -> &'static str {
    match format {
        DType::F32 => "f32",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        _ => unreachable!("activations and parameters are f32, f16 or bf16"),
    }
}
