//! The card: modules and kernels by name, launches, products by cuBLAS.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys as cublas_sys};
use candle_core::cuda_backend::cudarc::driver::sys::{
    CUdevice_attribute, CUfunction_attribute_enum,
};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaStorageSlice, DeviceId};
use candle_core::{CudaDevice, CudaStorage, DType, Error};

use super::gemm::{Operand, Product};
use super::launch::{Arg, Launch};
use crate::Result;

/// What a block may use without asking for more.
const PLAIN_SHARED_BYTES: u32 = 48 << 10;

/// A kernel that has been looked up, and the dynamic shared memory it has been allowed.
struct Known {
    function: CudaFunction,
    shared_bytes: u32,
}

thread_local! {
    static KNOWN: RefCell<HashMap<DeviceId, HashMap<String, Known>>> = RefCell::default();
}

/// The PTX of a `.cu` file.
fn ptx(module: &str) -> &'static str {
    macro_rules! embedded {
        ($($name:literal)*) => {
            match module {
                $($name => include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),)*
                _ => unreachable!("no kernels in {module}"),
            }
        };
    }
    embedded!("add_norm" "attention" "elementwise" "gelu" "linear" "loss" "optimizer" "rows")
}

fn look_up(launch: &Launch, device: &CudaDevice) -> Result<Known> {
    let module = format!("quintet_{}", launch.module);
    let function = device.get_or_load_custom_func(&launch.function, &module, ptx(launch.module))?;
    Ok(Known { function: function.into_cuda_function(), shared_bytes: PLAIN_SHARED_BYTES })
}

pub fn launch(launch: &Launch, device: &CudaDevice, args: &[Arg]) -> Result<()> {
    let stream = device.cuda_stream();
    KNOWN.with_borrow_mut(|known| {
        let known = known.entry(device.id()).or_default();
        if !known.contains_key(&launch.function) {
            known.insert(launch.function.clone(), look_up(launch, device)?);
        }
        let known = known.get_mut(&launch.function).expect("just inserted");
        if launch.shared_bytes > known.shared_bytes {
            let attribute =
                CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = launch.shared_bytes as i32;
            known.function.set_attribute(attribute, bytes).map_err(Error::wrap)?;
            known.shared_bytes = launch.shared_bytes;
        }
        let mut builder = stream.launch_builder(&known.function);
        for arg in args {
            match arg {
                Arg::Pointer(value) => builder.arg(value),
                Arg::U32(value) => builder.arg(value),
                Arg::F32(value) => builder.arg(value),
                Arg::F64(value) => builder.arg(value),
            };
        }
        let [x, y, z] = launch.grid;
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (launch.block, 1, 1),
            shared_mem_bytes: launch.shared_bytes,
        };
        #[expect(unsafe_code, reason = "a kernel launch")]
        // SAFETY: the operation passes what its kernel declares (the emulator checks kinds and
        // number for the same call), of tensors that live on this stream.
        unsafe { builder.launch(config) }.map_err(Error::wrap)?;
        Ok(())
    })
}

/// The address of a storage's first element.
pub fn address(storage: &CudaStorage) -> u64 {
    fn of<T>(slice: &CudaSlice<T>, device: &CudaDevice) -> u64 {
        slice.device_ptr(&device.cuda_stream()).0
    }
    let device = &storage.device;
    match &storage.slice {
        CudaStorageSlice::U32(slice) => of(slice, device),
        CudaStorageSlice::BF16(slice) => of(slice, device),
        CudaStorageSlice::F16(slice) => of(slice, device),
        CudaStorageSlice::F32(slice) => of(slice, device),
        CudaStorageSlice::F64(slice) => of(slice, device),
        _ => unreachable!("no kernel takes this format"),
    }
}

/// The dynamic shared memory that a block can have.
pub fn shared_bytes(device: &CudaDevice) -> u32 {
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
    device.cuda_stream().context().attribute(attribute).map_or(PLAIN_SHARED_BYTES, |n| n as u32)
}

/// cuBLAS counts columns first: it is asked for the transpose, from the transposes.
pub fn multiply(product: &Product<'_>, device: &CudaDevice, addresses: [u64; 3]) -> Result<()> {
    let [a, b, output] = addresses;
    let alpha = 1f32;
    let beta = match product.write {
        super::super::Write::Replace => 0f32,
        super::super::Write::Add => 1f32,
    };
    let operation = |operand: &Operand<'_>| match operand.transposed {
        false => cublas_sys::cublasOperation_t::CUBLAS_OP_N,
        true => cublas_sys::cublasOperation_t::CUBLAS_OP_T,
    };
    let blas = device.cublas_handle();
    #[expect(unsafe_code, reason = "a call of cuBLAS")]
    // SAFETY: the shapes have been checked against each other, and the tensors are contiguous.
    unsafe {
        cublas::gemm_ex(
            *blas.handle(),
            operation(&product.b),
            operation(&product.a),
            product.columns as c_int,
            product.rows as c_int,
            product.depth as c_int,
            (&raw const alpha).cast::<c_void>(),
            b as *const c_void,
            format(product.b.tensor.dtype()),
            product.b.stride() as c_int,
            a as *const c_void,
            format(product.a.tensor.dtype()),
            product.a.stride() as c_int,
            (&raw const beta).cast::<c_void>(),
            output as *mut c_void,
            format(product.output.dtype()),
            product.columns as c_int,
            // Never TF32: f32 is asked for where its precision is wanted.
            cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .map_err(Error::wrap)?;
    Ok(())
}

fn format(format: DType) -> cublas_sys::cudaDataType {
    match format {
        DType::F32 => cublas_sys::cudaDataType::CUDA_R_32F,
        DType::F16 => cublas_sys::cudaDataType::CUDA_R_16F,
        DType::BF16 => cublas_sys::cudaDataType::CUDA_R_16BF,
        _ => unreachable!("products are of f32, f16 or bf16"),
    }
}
