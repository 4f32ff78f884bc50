//! The least time that the processor allows for a pass's products in f32: their arithmetic, at the pace at which the processor
//! multiplies and adds numbers that lie in its registers.
//!
//! The arithmetic is what the result takes, two operations for a multiplication and an addition; what is not a product is
//! left out. So no program that computes in f32 is faster.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use shared::kernels::isa::Isa;
use shared::model::DebertaConfig;

/// Operations of a pass over a batch.
#[derive(Clone, Copy)]
pub struct Operations(f64);

impl Operations {
    /// Operations of inference on so many texts of one length, whose projections of relative positions are computed before.
    pub fn of_inference(config: &DebertaConfig, texts: usize, length: usize) -> Self {
        let (layers, width) = (config.num_hidden_layers as f64, config.hidden_size as f64);
        let inner = config.intermediate_size as f64;
        let (texts, length) = (texts as f64, length as f64);
        // A token's queries, keys, values and attention output; its feed-forward layer.
        let token = 4.0 * width * width + 2.0 * width * inner;
        // A pair's content score, both position scores, and its part of the context.
        let pair = 4.0 * width;
        // Of the last layer the first tokens alone are asked for, which need all keys and values.
        let full = (layers - 1.0) * (texts * length * token + texts * length * length * pair);
        let last = texts * (token - 2.0 * width * width + length * (2.0 * width * width + pair));
        Self(2.0 * (full + last))
    }

    /// Operations of a training step: the pass forward, with the projections of the positions that occur, and two products as large
    /// for each on the way back.
    pub fn of_training(config: &DebertaConfig, texts: usize, length: usize) -> Self {
        let Self(forward) = Self::of_inference(config, texts, length);
        let (layers, width) = (config.num_hidden_layers as f64, config.hidden_size as f64);
        let distances = (2 * length - 1) as f64;
        Self(3.0 * (forward + 2.0 * layers * distances * 2.0 * width * width))
    }

    /// The milliseconds that they take at the pace of now, of all threads together. `None` where there are no fused products.
    pub fn least_ms(self) -> Option<f64> {
        Some(self.0 / operations_per_ms()?)
    }
}

/// Measured for some ten milliseconds on each of rayon's threads.
fn operations_per_ms() -> Option<f64> {
    const ROUNDS: usize = 2_000_000;
    let start = Instant::now();
    let operations: Option<usize> = rayon::broadcast(|_| burst(ROUNDS)).into_iter().sum();
    Some(operations? as f64 / (start.elapsed().as_secs_f64() * 1e3))
}

/// Multiplies and adds for so many rounds, in the instruction set of the kernels, and returns the number of operations.
fn burst(rounds: usize) -> Option<usize> {
    match Isa::best() {
        Isa::Portable => None,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Some(Simd::vectorize(pulp::x86::V3::try_new()?, Chains { rounds })),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni => {
            Some(Simd::vectorize(pulp::x86::V4::try_new()?, Chains { rounds }))
        }
    }
}

/// Chains of operations on vectors.
struct Chains {
    rounds: usize,
}

impl WithSimd for Chains {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        /// Enough to hide the time from an operation to its result, and few enough for the registers.
        const CHAINS: usize = 12;
        let (factor, addend) = (simd.splat_f32s(0.999), simd.splat_f32s(1e-6));
        let mut sums = black_box([simd.splat_f32s(1.0); CHAINS]);
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, addend);
            }
        }
        black_box(sums);
        2 * self.rounds * CHAINS * S::F32_LANES
    }
}
