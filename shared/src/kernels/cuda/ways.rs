//! The way that an operation goes: by its kernel, or the plain way on a card that has failed the check of that kernel.
//!
//! Attention in half precision has a plain way: the kernels of f32, which use no matrix units, on copies of the
//! operands. It is right wherever they are, and slower. The other operations have none.

use std::fmt;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::attention::{self, Saved};
use super::elementwise::cast;
use crate::Result;
use crate::kernels::attention::types::{Attention, Operands, Stacked};

/// An operation with kernels of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Layer normalisation.
    AddNorm,
    /// Disentangled attention.
    Attention,
    /// The loss and its gradient.
    CrossEntropy,
    /// Sums, casts, dropout and the logistic function.
    Elementwise,
    /// Bias and GELU.
    Gelu,
    /// Linear maps and their gradients.
    Linear,
    /// The end of a step.
    Optimizer,
    /// Rows of a table and their gradients.
    Rows,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddNorm => "layer normalisation",
            Self::Attention => "attention",
            Self::CrossEntropy => "the loss",
            Self::Elementwise => "element-wise work",
            Self::Gelu => "GELU",
            Self::Linear => "linear maps",
            Self::Optimizer => "the optimizer",
            Self::Rows => "picking rows",
        })
    }
}

/// Returns whether an operation can go another way than by its kernel.
pub fn has_plain_way(operation: Operation, format: DType) -> bool {
    operation == Operation::Attention && flag(format) != 0
}

/// Has attention in `format` go the plain way from now on.
///
/// # Panics
/// If there is none: see [`has_plain_way`].
pub fn go_plain(operation: Operation, format: DType) {
    assert!(has_plain_way(operation, format), "{operation} in {format:?} has no plain way");
    flags::add(flag(format));
}

/// Returns whether attention in `format` goes the plain way.
pub fn attention_goes_plain(format: DType) -> bool {
    flags::all() & flag(format) != 0
}

fn flag(format: DType) -> u8 {
    match format {
        DType::F16 => 1,
        DType::BF16 => 2,
        _ => 0,
    }
}

#[cfg(not(feature = "cuda-emulator"))]
mod flags {
    //! Those of the process.

    use std::sync::atomic::{AtomicU8, Ordering};

    static PLAIN: AtomicU8 = AtomicU8::new(0);

    pub fn add(flag: u8) {
        PLAIN.fetch_or(flag, Ordering::Relaxed);
    }

    pub fn all() -> u8 {
        PLAIN.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "cuda-emulator")]
mod flags {
    //! Those of a thread, each of which is a machine of its own in the emulator.

    use std::cell::Cell;

    thread_local! {
        static PLAIN: Cell<u8> = const { Cell::new(0) };
    }

    pub fn add(flag: u8) {
        PLAIN.set(PLAIN.get() | flag);
    }

    pub fn all() -> u8 {
        PLAIN.get()
    }
}

/// [`attention::forward`] by the kernels of f32.
pub fn forward(attention: &Attention, operands: &Operands<Tensor>) -> Result<(Tensor, Saved)> {
    let format = operands.query.dtype();
    let (context, saved) = attention::forward(attention, &operands.map(wide)?)?;
    Ok((cast(&context, format)?, saved))
}

/// [`attention::backward`] by the kernels of f32.
pub fn backward(
    attention: &Attention,
    gradient: &Tensor,
    operands: &Operands<Tensor>,
    saved: &Saved,
) -> Result<Operands<Tensor>> {
    let format = operands.query.dtype();
    let wide = operands.map(wide)?;
    let gradient = cast(gradient, DType::F32)?;
    attention::backward(attention, &gradient, &wide, saved)?.map(|found| cast(found, format))
}

/// [`attention::backward_stacked`] by the kernels of f32.
pub fn backward_stacked(
    attention: &Attention,
    gradient: &Tensor,
    stacked: &Stacked,
    saved: &Saved,
    positions: Option<Tensor>,
) -> Result<Stacked> {
    let format = stacked.positions.dtype();
    let cast_all = |tensors: &[Tensor], format| -> Result<Vec<Tensor>> {
        tensors.iter().map(|tensor| cast(tensor, format)).collect()
    };
    let wide = Stacked {
        rows: cast_all(&stacked.rows, DType::F32)?,
        positions: cast(&stacked.positions, DType::F32)?,
        layer: stacked.layer,
    };
    let gradient = cast(gradient, DType::F32)?;
    let positions = positions.map(|positions| cast(&positions, DType::F32)).transpose()?;
    let found = attention::backward_stacked(attention, &gradient, &wide, saved, positions)?;
    Ok(Stacked {
        rows: cast_all(&found.rows, format)?,
        positions: cast(&found.positions, format)?,
        layer: found.layer,
    })
}

/// An operand in f32, without the columns beside it.
fn wide(operand: &Tensor) -> Result<Tensor> {
    cast(&operand.contiguous()?, DType::F32)
}
