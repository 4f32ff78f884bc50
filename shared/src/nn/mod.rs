//! Layers: parameters by their Hugging Face names, and kernels recorded on the tape. For inference, embeddings may stay
//! quantized and linear weights may be packed.

pub mod dropout;
pub mod embedding;
pub mod layer_norm;
pub mod linear;
pub mod quantized_embedding;
pub mod stack;
pub mod weights;

pub use dropout::Dropout;
pub use embedding::Embedding;
pub use embedding::select_rows;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use quantized_embedding::QuantizedEmbedding;
pub use stack::LinearStack;
pub use weights::{Prepared, Weights};

use crate::Result;
use crate::autograd::{Tape, Value};
use crate::kernels::elementwise;

/// a + b, of one shape.
pub fn add(a: &Value, b: &Value, tape: Option<&Tape>) -> Result<Value> {
    let output = elementwise::add_assign(a.tensor().copy()?, b.tensor())?;
    let (a, b) = (a.clone(), b.clone());
    Ok(Value::output(tape, output, move |gradient, gradients| {
        gradients.add(&a, gradient.copy()?)?;
        gradients.add(&b, gradient)
    }))
}
