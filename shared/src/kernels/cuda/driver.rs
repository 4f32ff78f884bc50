//! The card: modules and kernels by name, launches, products by cuBLAS.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::fmt;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys as cublas_sys};
use candle_core::cuda_backend::cudarc::driver::sys::{
    CUdevice_attribute, CUfunction_attribute_enum,
};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::cuda_backend::{CudaStorageSlice, DeviceId};
use candle_core::{CudaDevice, CudaStorage, DType, Device, Error, Tensor};

use super::cublas_lt::Products;
use super::types::{Arg, Epilogue, Launch, Operand, Product, distances, waits_for_launches};
use crate::Result;

/// The dynamic shared memory of a block that needs no attribute.
const PLAIN_SHARED_BYTES: u32 = 48 << 10;

/// The modules and kernels that this thread has loaded on one device.
#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, Arc<CudaModule>>,
    kernels: HashMap<String, Kernel>,
    counters: Option<Tensor>,
    products: Option<Products>,
}

/// A kernel, and the dynamic shared memory that it is allowed.
struct Kernel {
    function: CudaFunction,
    shared_bytes: u32,
}

thread_local! {
    static LOADED: RefCell<HashMap<DeviceId, Loaded>> = RefCell::default();
}

/// Returns the machine code that the build has made of a `.cu` file.
fn image(module: &str) -> &'static [u8] {
    macro_rules! embedded {
        ($($name:literal)*) => {
            match module {
                $($name => include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".fatbin")),)*
                _ => unreachable!("no kernels in {module}"),
            }
        };
    }
    embedded!("add_norm" "attention" "elementwise" "gelu" "linear" "loss" "optimizer" "rows")
}

impl Loaded {
    fn kernel(&mut self, launch: &Launch, device: &CudaDevice) -> Result<&mut Kernel> {
        if !self.kernels.contains_key(&launch.function) {
            let module = self.module(launch.module, device)?;
            let function = module.load_function(&launch.function).map_err(failed(launch))?;
            let kernel = Kernel { function, shared_bytes: PLAIN_SHARED_BYTES };
            self.kernels.insert(launch.function.clone(), kernel);
        }
        Ok(self.kernels.get_mut(&launch.function).expect("just inserted"))
    }

    fn module(&mut self, name: &'static str, device: &CudaDevice) -> Result<&Arc<CudaModule>> {
        if !self.modules.contains_key(name) {
            let image = Ptx::from_binary(image(name).to_vec());
            let stream = device.cuda_stream();
            let module = stream.context().load_module(image);
            let module = module.map_err(failed(format_args!("the kernels of `{name}`")))?;
            self.modules.insert(name, module);
        }
        Ok(&self.modules[name])
    }
}

/// Starts a kernel on the stream of `device`.
pub fn launch(launch: &Launch, device: &CudaDevice, args: &[Arg]) -> Result<()> {
    let stream = device.cuda_stream();
    LOADED.with_borrow_mut(|loaded| {
        let kernel = loaded.entry(device.id()).or_default().kernel(launch, device)?;
        if launch.shared_bytes > kernel.shared_bytes {
            let attribute =
                CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = launch.shared_bytes as i32;
            kernel.function.set_attribute(attribute, bytes).map_err(failed(launch))?;
            kernel.shared_bytes = launch.shared_bytes;
        }
        let mut builder = stream.launch_builder(&kernel.function);
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
        unsafe { builder.launch(config) }.map_err(failed(launch))?;
        waited_for(&stream, launch)
    })
}

/// Returns the counters of this thread's kernels on `device`, u32 `[count]`, which they leave as they find them: zero.
pub fn counters(count: usize, device: &CudaDevice) -> Result<Tensor> {
    LOADED.with_borrow_mut(|loaded| {
        let counters = &mut loaded.entry(device.id()).or_default().counters;
        if counters.is_none() {
            *counters = Some(Tensor::zeros(count, DType::U32, &Device::Cuda(device.clone()))?);
        }
        Ok(counters.clone().expect("made above"))
    })
}

/// Returns the address of a storage's first element.
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

/// Returns the most dynamic shared memory of a block.
pub fn shared_bytes(device: &CudaDevice) -> u32 {
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
    device.cuda_stream().context().attribute(attribute).map_or(PLAIN_SHARED_BYTES, |n| n as u32)
}

/// Computes a batch of products by cuBLAS, which stores matrices by columns: it computes the transposes from the
/// transposes.
pub fn multiply_batch(
    product: &Product<'_>,
    device: &CudaDevice,
    addresses: [u64; 3],
) -> Result<()> {
    let [a, b, output] = addresses;
    let (alpha, beta) = (1f32, product.beta());
    let operation = |operand: &Operand<'_>| match operand.transposed {
        false => cublas_sys::cublasOperation_t::CUBLAS_OP_N,
        true => cublas_sys::cublasOperation_t::CUBLAS_OP_T,
    };
    let matrices = [product.b.tensor, product.a.tensor, product.output];
    let formats = matrices.map(|matrix| format(matrix.dtype()));
    let [of_b, of_a, of_output] = matrices.map(|matrix| {
        let (matrix, row) = distances(matrix);
        (row as c_int, matrix as c_longlong)
    });
    let extent = [product.columns, product.rows, product.depth].map(|extent| extent as c_int);
    // Never TF32: f32 is asked for where its precision is wanted.
    let arithmetic = cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
    let algorithm = cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT;
    let blas = device.cublas_handle();
    let handle = *blas.handle();
    let (first, second) = (operation(&product.b), operation(&product.a));
    let [columns, rows, depth] = extent;
    let (alpha, beta) = ((&raw const alpha).cast::<c_void>(), (&raw const beta).cast::<c_void>());
    let (a, b, output) = (a as *const c_void, b as *const c_void, output as *mut c_void);
    #[expect(unsafe_code, reason = "calls of cuBLAS")]
    // SAFETY: the shapes have been checked against each other, and the distances are the tensors' own.
    let done = unsafe {
        cublas::gemm_strided_batched_ex(
            handle,
            first,
            second,
            columns,
            rows,
            depth,
            alpha,
            b,
            formats[0],
            of_b.0,
            of_b.1,
            a,
            formats[1],
            of_a.0,
            of_a.1,
            beta,
            output,
            formats[2],
            of_output.0,
            of_output.1,
            product.count as c_int,
            arithmetic,
            algorithm,
        )
    };
    done.map_err(failed_product(product, device))?;
    waited_for(&device.cuda_stream(), product)
}

/// Computes a product and its epilogue, whose vector is at the address beside it, by cuBLASLt; or returns `false` where that
/// has no algorithm for them, as for a batch.
pub fn multiply_single(
    product: &Product<'_>,
    epilogue: Option<(&Epilogue<'_>, u64)>,
    device: &CudaDevice,
    addresses: [u64; 3],
) -> Result<bool> {
    if product.count > 1 {
        return Ok(false);
    }
    LOADED.with_borrow_mut(|loaded| {
        let products = &mut loaded.entry(device.id()).or_default().products;
        if products.is_none() {
            *products = Some(Products::new(device)?);
        }
        let products = products.as_mut().expect("made above");
        let done = products
            .multiply(product, epilogue, device, addresses)
            .map_err(failed_product(product, device))?;
        waited_for(&device.cuda_stream(), product)?;
        Ok(done)
    })
}

/// Waits for what has just been started, if launches are to be waited for.
fn waited_for(stream: &CudaStream, what: impl fmt::Display) -> Result<()> {
    if waits_for_launches() {
        stream.synchronize().map_err(failed(what))?;
    }
    Ok(())
}

/// Returns the error of a kernel or product, with its name and sizes before the words of the driver or of cuBLAS.
fn failed<E: fmt::Debug>(what: impl fmt::Display) -> impl FnOnce(E) -> Error {
    move |error| Error::Msg(format!("{what}: {error:?}"))
}

/// Returns the error of a product. cuBLAS says no more than that it failed where the card has, perhaps in an earlier launch;
/// the driver says why.
fn failed_product<E: fmt::Debug>(
    product: &Product<'_>,
    device: &CudaDevice,
) -> impl FnOnce(E) -> Error {
    move |error| match device.cuda_stream().synchronize() {
        Ok(()) => failed(product)(error),
        Err(of_card) => failed(product)(of_card),
    }
}

fn format(format: DType) -> cublas_sys::cudaDataType {
    match format {
        DType::F32 => cublas_sys::cudaDataType::CUDA_R_32F,
        DType::F16 => cublas_sys::cudaDataType::CUDA_R_16F,
        DType::BF16 => cublas_sys::cudaDataType::CUDA_R_16BF,
        _ => unreachable!("products are of f32, f16 or bf16"),
    }
}
