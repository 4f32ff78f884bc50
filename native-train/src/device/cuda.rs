//! The GPUs, as NVIDIA's driver reports them.

use anyhow::{Context, Result};
use autoload_cuda::Missing;
use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::sys::{
    self, CUdevice_attribute as Attribute, CUmemPool_attribute as PoolAttribute,
};
use candle_core::{CudaDevice, Device};

use super::card::{Card, Memory};

/// The GPUs, or the reason why none can be used.
pub fn find() -> Result<Vec<Card>, String> {
    if let Some(Missing { file, reason }) = autoload_cuda::missing() {
        return Err(absence(&file, &reason));
    }
    result::init().map_err(|error| format!("the driver cannot start ({})", words(error)))?;
    let (supported, (major, minor)) = (driver_version(), autoload_cuda::version());
    if supported < (major, minor) {
        return Err(format!(
            "the driver supports CUDA {}.{}, and this program was built with {major}.{minor}",
            supported.0, supported.1
        ));
    }
    let count = result::device::get_count()
        .map_err(|error| format!("the driver does not count the GPUs ({})", words(error)))?;
    if count == 0 {
        return Err("the driver sees no GPU".to_owned());
    }
    let cards = (0..count).map(card).collect::<Result<_, _>>();
    cards.map_err(|error| format!("the driver does not describe the GPUs ({})", words(error)))
}

fn absence(file: &str, reason: &str) -> String {
    let absent = reason.contains("cannot open shared object file");
    if !absent {
        return format!("{file} cannot be loaded ({reason})");
    }
    // The driver is where the system looks, or nowhere. The other libraries may be anywhere.
    let remedy =
        if file.starts_with("libcuda.") { "" } else { " (set LD_LIBRARY_PATH to its folder)" };
    format!("{file} was not found{remedy}")
}

fn card(ordinal: i32) -> Result<Card, DriverError> {
    let device = result::device::get(ordinal)?;
    let attribute = |attribute| {
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: the device is one that the driver has just given.
        let value = unsafe { result::device::get_attribute(device, attribute) };
        value.map(|value| value as u32)
    };
    Ok(Card {
        name: result::device::get_name(device)?,
        compute_capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
    })
}

/// The newest CUDA that the driver knows; (0, 0) where it does not say.
fn driver_version() -> (u32, u32) {
    let mut version = 0;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it writes an integer.
    let _ = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    let version = version as u32;
    (version / 1000, version % 1000 / 10)
}

/// A card, with a stream of its own.
pub fn open(ordinal: usize) -> Result<Device> {
    let device = CudaDevice::new_with_stream(ordinal)?;
    #[expect(unsafe_code, reason = "tensors are no longer guarded against other streams")]
    // SAFETY: each training keeps to the device it has opened, and a device to its stream, which does one thing after the
    // other. The guards cost two events a tensor, more than most kernels take.
    unsafe {
        device.disable_event_tracking();
    }
    let pool = pool(&device)?;
    let keep_all = u64::MAX;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: this attribute of a pool is a u64. By default what is free goes back to the driver whenever a stream is
    // waited for, and the next step has to ask for it again.
    unsafe {
        let attribute = PoolAttribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw const keep_all).cast_mut().cast())
            .result()?;
    }
    Ok(Device::Cuda(device))
}

/// The memory pool that candle allocates its tensors on this GPU from.
fn pool(device: &CudaDevice) -> Result<sys::CUmemoryPool> {
    let card = device.cuda_stream().context().cu_device();
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: the device is the stream's.
    Ok(unsafe { result::device::get_default_mem_pool(card) }?)
}

/// The memory of a GPU.
pub fn memory(device: &CudaDevice) -> Result<Memory> {
    let (free, total) = device
        .cuda_stream()
        .context()
        .mem_get_info()
        .context("the driver does not report the GPU's memory")?;
    Ok(Memory { free: free as u64, total: total as u64 })
}

/// The most bytes that candle's tensors have taken from their pool at a time.
pub fn peak_memory(device: &CudaDevice) -> Result<u64> {
    let (pool, mut bytes) = (pool(device)?, 0_u64);
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: this attribute of a pool is a u64.
    unsafe {
        let attribute = PoolAttribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        sys::cuMemPoolGetAttribute(pool, attribute, (&raw mut bytes).cast()).result()?;
    }
    Ok(bytes)
}

fn words(error: DriverError) -> String {
    let words = error.error_string().map(|words| words.to_string_lossy().into_owned());
    words.unwrap_or_else(|_| format!("{:?}", error.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_library_is_not_a_broken_one() {
        let absent = "libcuda.so.1: cannot open shared object file: No such file or directory";
        assert_eq!(absence("libcuda.so.1", absent), "libcuda.so.1 was not found");
        let absent = absent.replace("cuda.so.1", "cublas.so.13");
        assert_eq!(
            absence("libcublas.so.13", &absent),
            "libcublas.so.13 was not found (set LD_LIBRARY_PATH to its folder)"
        );
        assert_eq!(
            absence("libcuda.so.1", "libcuda.so.1: invalid ELF header"),
            "libcuda.so.1 cannot be loaded (libcuda.so.1: invalid ELF header)"
        );
    }

    #[test]
    #[ignore = "needs CUDA"]
    fn cuda_cards_have_memory_and_remember_the_most_that_was_used() {
        let cards = super::super::cards().expect("a card");
        assert!(!cards[0].name.is_empty());
        let device = super::super::open(super::super::Device::Cuda(0)).unwrap();
        let Memory { free, total } = super::super::memory(&device).unwrap().expect("a card's");
        assert!(0 < free && free < total, "{free} of {total}");
        let shape = (1 << 20, 16);
        let tensor = candle_core::Tensor::zeros(shape, candle_core::DType::F32, &device).unwrap();
        let peak = super::super::peak_memory(&device).unwrap().expect("a card's");
        assert!(peak >= 64 << 20, "{peak}");
        drop(tensor);
        assert!(super::super::peak_memory(&device).unwrap().expect("a card's") >= peak);
    }
}
