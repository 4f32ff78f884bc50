//! Dropout (Srivastava et al., 2014): active with a tape, the identity without.

use candle_core::Tensor;

use crate::Result;
use crate::autograd::{Gradients, Tape, Value};
use crate::kernels::elementwise;
use crate::kernels::random::DropoutMask;

/// The probability of an element being zeroed in training, in 0..1.
#[derive(Debug, Clone, Copy)]
pub struct Dropout(pub f64);

impl Dropout {
    /// The mask of the next site of the model, for an operation that applies it in its own pass.
    pub(crate) fn mask(self, tape: Option<&Tape>) -> Option<DropoutMask> {
        let tape = tape.filter(|_| self.0 > 0.0)?;
        Some(DropoutMask::new(self.0, tape.next_random_key()))
    }

    /// x, with elements zeroed and the others scaled up if there is a tape.
    pub fn forward(self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        masked(x, self.mask(tape), tape)
    }
}

/// x under a mask that was drawn before.
pub(crate) fn masked(x: &Value, mask: Option<DropoutMask>, tape: Option<&Tape>) -> Result<Value> {
    let Some(mask) = mask else {
        return Ok(x.clone());
    };
    let (output, half) = elementwise::dropout(x.tensor(), mask, x.half_format())?;
    let x = x.clone();
    let backward = move |gradient: Tensor, gradients: &mut Gradients<'_>| {
        gradients.add(&x, elementwise::dropout(&gradient, mask, None)?.0)
    };
    Ok(Value::output(tape, output, backward).with_half(half))
}
