//! The GPUs, as NVIDIA's driver reports them.

use std::{env, fs};

use anyhow::{Context, Result, bail};
use autoload_cuda::Missing;
use candle_core::cuda_backend::cudarc::driver::CudaContext;
use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::sys::{
    self, CUdevice_attribute as Attribute, CUmemPool_attribute as PoolAttribute,
};
use candle_core::{CudaDevice, Device};
use shared::kernels::cuda as kernels;

use super::card::{Card, Library, Memory};
use crate::guard::guarded;

/// The environment variable that has each kernel waited for, so that an error names it.
const SYNC: &str = "QUINTET_CUDA_SYNC";

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

/// The libraries, with the place from which the system has loaded each.
pub fn libraries() -> Vec<Library> {
    let libraries = autoload_cuda::libraries();
    // What is loaded is mapped.
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    libraries
        .into_iter()
        .map(|(file, missing)| {
            let place = match missing {
                Some(Missing { file, reason }) => absence(&file, &reason),
                None => mapped(&maps, &file).unwrap_or("loaded").to_owned(),
            };
            Library { file, place }
        })
        .collect()
}

/// The path of a mapped file whose name begins so: a link's target has more numbers.
fn mapped<'a>(maps: &'a str, file: &str) -> Option<&'a str> {
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|begin| &line[begin..]));
    let stem = file.split_once(".so").map_or(file, |(stem, _)| stem);
    let is_it = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name == file || name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(".so"))
    };
    paths.find(is_it)
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
    if env::var_os(SYNC).is_some_and(|value| value != "0" && !value.is_empty()) {
        kernels::wait_for_launches(true);
    }
    let device = match guarded(|| CudaDevice::new_with_stream(ordinal)) {
        Some(opened) => opened?,
        // The card had failed by then, and cuBLAS's handle was dropped on the way out.
        None => {
            CudaContext::new(ordinal)?.synchronize()?;
            bail!("CUDA_ERROR_UNKNOWN: the GPU failed while it was set up");
        }
    };
    // Is never dropped. After an error on the card, dropping cuBLAS's handle panics, and the error would not be told.
    // And the card's context stays, which takes a second to make.
    std::mem::forget(device.clone());
    #[expect(unsafe_code, reason = "tensors are no longer guarded against other streams")]
    // SAFETY: each training keeps to the device it has opened, and a device to its stream, which does one thing after the
    // other. The guards cost two events a tensor, more than most kernels take.
    unsafe {
        device.disable_event_tracking();
    }
    // Without it a step is slower, and as right.
    let _ = keep_freed_memory(&device);
    Ok(Device::Cuda(device))
}

/// Keeps what tensors have freed for the next ones. By default it goes back to the driver whenever a stream is waited
/// for, and the next step has to ask for it again.
fn keep_freed_memory(device: &CudaDevice) -> Result<()> {
    let (pool, keep_all) = (pool(device)?, u64::MAX);
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: this attribute of a pool is a u64.
    unsafe {
        let attribute = PoolAttribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw const keep_all).cast_mut().cast())
            .result()?;
    }
    Ok(())
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
    fn a_library_is_found_under_the_name_of_its_version() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 1  /usr/lib/libcublasLt.so.13.0.0.19\n\
                    7f02-7f03 r-xp 00000000 08:01 2  /usr/lib/libcublas.so.13.0.0.19\n";
        assert_eq!(mapped(maps, "libcublas.so.13"), Some("/usr/lib/libcublas.so.13.0.0.19"));
        assert_eq!(mapped(maps, "libcuda.so.1"), None);
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
        let peak = super::super::peak_memory(&device).expect("a card's");
        assert!(peak >= 64 << 20, "{peak}");
        drop(tensor);
        assert!(super::super::peak_memory(&device).expect("a card's") >= peak);
    }
}
