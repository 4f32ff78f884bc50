//! The bias of a linear map, for the CPU's kernels and the GPU's.

use candle_core::{DType, Tensor};

/// A bias `[outputs]`.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// Its values in f32.
    pub exact: &'a Tensor,
    /// The values in half precision, where products are in half precision: a GPU adds these to the sums of a product.
    pub half: Option<&'a Tensor>,
}

impl<'a> Bias<'a> {
    /// Returns the values in a format, where they are held in it.
    pub(in crate::kernels) fn in_format(self, format: DType) -> Option<&'a Tensor> {
        [Some(self.exact), self.half].into_iter().flatten().find(|bias| bias.dtype() == format)
    }
}

impl<'a> From<&'a Tensor> for Bias<'a> {
    fn from(exact: &'a Tensor) -> Self {
        Self { exact, half: None }
    }
}
