//! Single products on the card, with an epilogue or without: cuBLASLt, and the algorithms that it has named.

use std::collections::HashMap;
use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t;
use candle_core::cuda_backend::cudarc::cublaslt::result::{self as lt, CublasError};
use candle_core::cuda_backend::cudarc::cublaslt::sys;
use candle_core::cuda_backend::cudarc::cublaslt::sys::cublasLtMatmulDescAttributes_t as Attribute;
use candle_core::cuda_backend::cudarc::cublaslt::sys::cublasLtMatmulPreferenceAttributes_t as Preference;
use candle_core::cuda_backend::cudarc::cublaslt::sys::cublasStatus_t as Status;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::{CudaDevice, DType, Error};

use super::types::{Epilogue, Operand, Product, distances};
use crate::Result;

/// The memory of an algorithm beside its operands: what cuBLAS takes for itself on Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;

/// The multiple to which tokens are counted up when an algorithm is asked for: their number changes from batch to batch,
/// and asking takes longer than a product.
const TOKENS: usize = 64;

/// What is known of cuBLASLt by one thread on one device.
pub struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    algorithms: HashMap<Problem, Option<sys::cublasLtMatmulAlgo_t>>,
}

/// A product as far as the choice of an algorithm depends on it. The choice depends on nothing else, so that the same
/// product has the same bits whatever was computed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Problem {
    rows: usize,
    columns: usize,
    depth: usize,
    a: Layout,
    b: Layout,
    output: Layout,
    kind: Kind,
    /// The bytes of which every address is a multiple.
    alignment: u32,
}

/// A matrix: its format, the distance between rows, and whether it is used transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Layout {
    format: DType,
    row: usize,
    transposed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Plain,
    Bias,
    RowSums,
}

/// The description of one call. cuBLASLt stores matrices by columns: it computes the transpose from the transposes.
struct Description {
    product: sys::cublasLtMatmulDesc_t,
    /// Those of b, a and the output.
    matrices: [sys::cublasLtMatrixLayout_t; 3],
}

impl Products {
    /// Prepares products on `device`.
    pub fn new(device: &CudaDevice) -> Result<Self> {
        let workspace = device.alloc_zeros(WORKSPACE_BYTES)?;
        let handle = lt::create_handle().map_err(Error::wrap)?;
        Ok(Self { handle, workspace, algorithms: HashMap::new() })
    }

    /// Computes a single product and its epilogue, whose vector is at the address beside it, or returns `false` where there is
    /// no algorithm for them.
    pub fn multiply(
        &mut self,
        product: &Product<'_>,
        epilogue: Option<(&Epilogue<'_>, u64)>,
        device: &CudaDevice,
        addresses: [u64; 3],
    ) -> Result<bool> {
        let kind = match epilogue {
            None => Kind::Plain,
            Some((Epilogue::Bias(_), _)) => Kind::Bias,
            Some((Epilogue::RowSums(_), _)) => Kind::RowSums,
        };
        let vector = epilogue.map(|(_, address)| address);
        let exact = Problem::new(product, kind, addresses);
        for problem in [exact.with_tokens_counted_up(), exact] {
            let Some(algorithm) = self.algorithm(&problem).map_err(Error::wrap)? else { continue };
            match self.run(&exact, vector, product.beta(), &algorithm, device, addresses) {
                Ok(()) => return Ok(true),
                // An algorithm for a few more tokens need not do for these.
                Err(error) if is_refusal(error) => {}
                Err(error) => return Err(Error::wrap(error).into()),
            }
        }
        Ok(false)
    }

    /// Returns the algorithm for a problem, if there is one.
    fn algorithm(
        &mut self,
        problem: &Problem,
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>, CublasError> {
        if let Some(known) = self.algorithms.get(problem) {
            return Ok(*known);
        }
        let found = match ask(self.handle, problem) {
            Ok(algorithm) => Some(algorithm),
            Err(error) if is_refusal(error) => None,
            Err(error) => return Err(error),
        };
        self.algorithms.insert(*problem, found);
        Ok(found)
    }

    fn run(
        &self,
        problem: &Problem,
        vector: Option<u64>,
        beta: f32,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        device: &CudaDevice,
        [a, b, output]: [u64; 3],
    ) -> Result<(), CublasError> {
        let description = Description::new(problem)?;
        if let Some(vector) = vector {
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &vector)?;
        }
        let [of_b, of_a, of_output] = description.matrices;
        let (alpha, stream) = (1f32, device.cuda_stream());
        #[expect(unsafe_code, reason = "a call of cuBLASLt")]
        // SAFETY: the shapes have been checked against each other, and the tensors live on this stream.
        unsafe {
            lt::matmul(
                self.handle,
                description.product,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                b as *const c_void,
                of_b,
                a as *const c_void,
                of_a,
                output as *const c_void,
                of_output,
                output as *mut c_void,
                of_output,
                algorithm,
                self.workspace.device_ptr(&stream).0 as *mut c_void,
                WORKSPACE_BYTES,
                stream.cu_stream().cast(),
            )
        }
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a call of cuBLASLt")]
        // SAFETY: nothing else has the handle. An error here would say nothing new.
        let _ = unsafe { lt::destroy_handle(self.handle) };
    }
}

impl Problem {
    fn new(product: &Product<'_>, kind: Kind, addresses: [u64; 3]) -> Self {
        let layout = |operand: &Operand<'_>| Layout {
            format: operand.tensor.dtype(),
            row: distances(operand.tensor).1,
            transposed: operand.transposed,
        };
        let [a, b, output] =
            [layout(&product.a), layout(&product.b), layout(&Operand::new(product.output))];
        let common = addresses.iter().fold(16, |all, address| all | address);
        let alignment = 1 << common.trailing_zeros();
        let Product { rows, columns, depth, .. } = *product;
        Self { rows, columns, depth, a, b, output, kind, alignment }
    }

    fn with_tokens_counted_up(self) -> Self {
        let [rows, depth] = [self.rows, self.depth].map(|n| n.next_multiple_of(TOKENS));
        match self.kind {
            Kind::Bias => Self { rows, ..self },
            Kind::RowSums => Self { depth, ..self },
            // Tokens are its rows or its depth, and the other is a width of the model.
            Kind::Plain => Self { rows, depth, ..self },
        }
    }
}

impl Layout {
    /// Describes the matrix, which is [rows, columns] as used.
    fn describe(
        &self,
        rows: usize,
        columns: usize,
    ) -> Result<sys::cublasLtMatrixLayout_t, CublasError> {
        let (rows, columns) = if self.transposed { (columns, rows) } else { (rows, columns) };
        lt::create_matrix_layout(format(self.format), columns as u64, rows as u64, self.row as i64)
    }
}

impl Description {
    fn new(problem: &Problem) -> Result<Self, CublasError> {
        let Problem { rows, columns, depth, a, b, output, .. } = *problem;
        let product = lt::create_matmul_desc(
            // Never TF32: f32 is asked for where its precision is wanted.
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        )?;
        let mut description = Self { product, matrices: [std::ptr::null_mut(); 3] };
        description.matrices[0] = b.describe(depth, columns)?;
        description.matrices[1] = a.describe(rows, depth)?;
        description.matrices[2] = output.describe(rows, columns)?;
        let operation = |layout: Layout| match layout.transposed {
            false => cublasOperation_t::CUBLAS_OP_N,
            true => cublasOperation_t::CUBLAS_OP_T,
        };
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &operation(b))?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &operation(a))?;
        let epilogue = match problem.kind {
            Kind::Plain => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
            Kind::Bias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Kind::RowSums => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BGRADB,
        };
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        Ok(description)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), CublasError> {
        let (from, bytes) = (std::ptr::from_ref(value).cast(), size_of::<T>());
        #[expect(unsafe_code, reason = "a call of cuBLASLt")]
        // SAFETY: the description is alive, and the attribute is of this type.
        unsafe {
            lt::set_matmul_desc_attribute(self.product, attribute, from, bytes)
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "calls of cuBLASLt")]
        // SAFETY: nothing else has these; those that were not made are null. Errors here would say nothing new.
        unsafe {
            for matrix in self.matrices.into_iter().filter(|matrix| !matrix.is_null()) {
                let _ = lt::destroy_matrix_layout(matrix);
            }
            let _ = lt::destroy_matmul_desc(self.product);
        }
    }
}

/// Asks cuBLASLt for its best algorithm.
fn ask(
    handle: sys::cublasLtHandle_t,
    problem: &Problem,
) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
    let description = Description::new(problem)?;
    if problem.kind != Kind::Plain {
        // Whether there is a vector decides, not where it is.
        let vector = u64::from(problem.alignment);
        description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &vector)?;
    }
    let [b, a, output] = description.matrices;
    let preference = lt::create_matmul_pref()?;
    let set = |attribute, value: *const c_void, bytes| {
        #[expect(unsafe_code, reason = "a call of cuBLASLt")]
        // SAFETY: the preference is alive, and the attribute is of this size.
        unsafe {
            lt::set_matmul_pref_attribute(preference, attribute, value, bytes)
        }
    };
    let (workspace, alignment) = (WORKSPACE_BYTES, (&raw const problem.alignment).cast());
    let found = set(
        Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        (&raw const workspace).cast(),
        size_of::<usize>(),
    )
    .and_then(|()| set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment, 4))
    .and_then(|()| set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment, 4))
    .and_then(|()| set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment, 4))
    .and_then(|()| set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment, 4))
    .and_then(|()| {
        #[expect(unsafe_code, reason = "a call of cuBLASLt")]
        // SAFETY: all descriptions are alive.
        unsafe {
            lt::get_matmul_algo_heuristic(
                handle,
                description.product,
                b,
                a,
                output,
                output,
                preference,
            )
        }
    });
    #[expect(unsafe_code, reason = "a call of cuBLASLt")]
    // SAFETY: nothing else has the preference. An error here would say nothing new.
    let _ = unsafe { lt::destroy_matmul_pref(preference) };
    found.map(|found| found.algo)
}

/// Whether cuBLASLt cannot compute a product this way, rather than having failed.
fn is_refusal(CublasError(status): CublasError) -> bool {
    matches!(
        status,
        Status::CUBLAS_STATUS_NOT_SUPPORTED
            | Status::CUBLAS_STATUS_INVALID_VALUE
            | Status::CUBLAS_STATUS_ARCH_MISMATCH
    )
}

fn format(format: DType) -> sys::cudaDataType {
    match format {
        DType::F32 => sys::cudaDataType::CUDA_R_32F,
        DType::F16 => sys::cudaDataType::CUDA_R_16F,
        DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
        _ => unreachable!("products are of f32, f16 or bf16"),
    }
}
