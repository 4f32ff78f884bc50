//! Starting a kernel: its arguments, and the machine that runs it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Shape, Storage, Tensor};

use super::types::{Arg, Launch};
use crate::Result;

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// The counters that a device has: one for each block of columns of the widest matrix.
const COUNTERS: usize = 1024;

/// Returns the number of kernels, products and fills with zero that this process has started.
pub fn launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

/// The number of launches of each kernel by its name. Products are called `product`, or with an epilogue `product_bias`
/// and `product_row_sums`, fills `zeros`.
pub type LaunchesByName = BTreeMap<String, u64>;

thread_local! {
    static BY_NAME: RefCell<Option<LaunchesByName>> = const { RefCell::new(None) };
}

/// Counts what this thread launches while it does `work`.
pub fn launches_by_name<R>(work: impl FnOnce() -> R) -> (R, LaunchesByName) {
    let around = BY_NAME.replace(Some(LaunchesByName::new()));
    let result = work();
    let counts = BY_NAME.replace(around).expect("set above");
    // They count for whoever counts around this as well.
    counts.iter().for_each(|(name, count)| add(name, *count));
    (result, counts)
}

pub(super) fn count_launch(name: &str) {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
    add(name, 1);
}

fn add(name: &str, launches: u64) {
    BY_NAME.with_borrow_mut(|counts| {
        if let Some(counts) = counts {
            *counts.entry(name.to_owned()).or_default() += launches;
        }
    });
}

impl Launch {
    /// Starts the kernel without waiting: on a card it runs after those before it on the stream.
    ///
    /// The tensors behind the pointers must be alive until this returns.
    #[cfg_attr(
        not(any(feature = "cuda", feature = "cuda-emulator")),
        expect(unused_variables, reason = "nothing to run it on")
    )]
    pub fn run(&self, device: &Device, args: &[Arg]) -> Result<()> {
        count_launch(&self.function);
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => super::driver::launch(self, device, args),
            #[cfg(feature = "cuda-emulator")]
            Device::Cpu => super::emulator::launch(self, args),
            _ => unreachable!("`takes` has refused this device"),
        }
    }
}

/// Returns the address of the first element of a contiguous tensor.
pub(super) fn pointer(tensor: &Tensor) -> Result<Arg> {
    if !tensor.is_contiguous() {
        return Err(candle_core::Error::Msg("this kernel takes contiguous tensors".into()).into());
    }
    Ok(address(tensor))
}

/// Returns the address of the first element of a contiguous tensor, or 0 without one.
pub(super) fn optional_pointer(tensor: Option<&Tensor>) -> Result<Arg> {
    tensor.map_or(Ok(Arg::NULL), pointer)
}

/// Returns the address of the first element of a matrix, which may be a block of columns of a wider one, and
/// the distance between its rows in elements.
pub(super) fn strided_pointer(matrix: &Tensor) -> Result<(Arg, Arg)> {
    let (_, columns) = matrix.dims2()?;
    match *matrix.stride() {
        [stride, 1] if stride >= columns => Ok((address(matrix), Arg::size(stride))),
        _ => Ok((pointer(matrix)?, Arg::size(columns))),
    }
}

fn address(tensor: &Tensor) -> Arg {
    Arg::Pointer(first_element(tensor))
}

/// Returns the address of the first element, whatever the distances between the others.
pub(super) fn first_element(tensor: &Tensor) -> u64 {
    let (storage, layout) = tensor.storage_and_layout();
    let start = layout.start_offset() * tensor.dtype().size_in_bytes();
    address_of(&storage) + start as u64
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

/// Returns the flag that allows loads of several elements at once: every array begins at a multiple of 16
/// bytes, as do its rows of `width` elements if `width` is a multiple of `each`.
pub(super) fn vector(arrays: &[Arg], width: usize, each: usize) -> Arg {
    let aligned = |arg: &Arg| matches!(arg, Arg::Pointer(address) if address % 16 == 0);
    Arg::flag(width.is_multiple_of(each) && arrays.iter().all(aligned))
}

/// Allocates a tensor for a kernel to fill.
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

/// Allocates a tensor of zeros.
pub(super) fn zeros(shape: impl Into<Shape>, format: DType, device: &Device) -> Result<Tensor> {
    count_launch("zeros");
    Ok(Tensor::zeros(shape, format, device)?)
}

/// Returns counters for a kernel whose blocks wait for each other's sums (`is_last` of `common.cuh`): `count` of u32,
/// zero whenever a kernel begins, as each leaves them so and one runs after the other.
pub(super) fn counters(count: usize, device: &Device) -> Result<Arg> {
    assert!(count <= COUNTERS, "{count} counters");
    pointer(&counters_of(device)?)
}

fn counters_of(device: &Device) -> Result<Tensor> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => super::driver::counters(COUNTERS, device),
        #[cfg(feature = "cuda-emulator")]
        Device::Cpu => super::emulator::counters(COUNTERS),
        _ => unreachable!("`takes` has refused this device"),
    }
}

/// Returns the end of a kernel's name that stands for a format.
pub(super) fn suffix(format: DType) -> &'static str {
    match format {
        DType::F32 => "f32",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        _ => unreachable!("activations and parameters are f32, f16 or bf16"),
    }
}
