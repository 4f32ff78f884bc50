//! Disentangled attention, tile by tile, against whole score matrices.

use candle_core::{DType, Device, Tensor};

use super::{Input, close, device_test, epsilon, read, reference, same_bits};
use crate::kernels::CumulativeSeqLengths;
use crate::kernels::attention::{Attention, Operands, Queries};
use crate::kernels::cuda::attention::{
    Tile, backward, backward_tiled, forward, forward_tiled, has_room,
};
use crate::kernels::random::{DropoutMask, RandomKey};

/// One attention to check.
#[derive(Clone)]
struct Case {
    lengths: Vec<usize>,
    heads: usize,
    size: usize,
    queries: Queries,
    masked: bool,
    /// Whether there are position keys, and position queries.
    positions: [bool; 2],
    format: DType,
    tile: Tile,
    strided: bool,
}

impl Case {
    fn new(lengths: &[usize], size: usize) -> Self {
        Self {
            lengths: lengths.to_vec(),
            heads: 2,
            size,
            queries: Queries::All,
            masked: true,
            positions: [true; 2],
            format: DType::F32,
            tile: Tile::T32,
            strided: false,
        }
    }

    fn attention(&self) -> Attention {
        Attention {
            cumulative_seq_lengths: CumulativeSeqLengths::new(self.lengths.iter().copied()),
            heads: self.heads,
            queries: self.queries,
            scale: 1.0 / ((3 * self.size) as f32).sqrt(),
            mask: self.masked.then(|| DropoutMask::new(0.2, RandomKey::new(1, 1))),
        }
    }

    /// Lays an operand out as the model does, or as a block of columns of a wider matrix.
    fn laid_out(&self, tensor: &Tensor) -> Tensor {
        if !self.strided {
            return tensor.clone();
        }
        let width = tensor.dim(1).unwrap();
        let other = tensor.zeros_like().unwrap();
        let wider = Tensor::cat(&[&other, tensor, &other], 1).unwrap().contiguous().unwrap();
        wider.narrow(1, width, width).unwrap()
    }

    fn inputs(&self, device: &Device) -> (Operands<Input>, Input) {
        let tokens: usize = self.lengths.iter().sum();
        let longest = *self.lengths.iter().max().unwrap();
        let width = self.heads * self.size;
        let query_rows = if self.queries == Queries::All { tokens } else { self.lengths.len() };
        let input = |rows, seed| {
            // Scores with a standard deviation near 2, so that softmax is no mean.
            let values: Vec<f32> =
                crate::kernels::tests::random(rows * width, seed).iter().map(|x| 2.5 * x).collect();
            Input::new(&values, (rows, width), self.format, device)
        };
        let table = |used: bool, seed| used.then(|| input(2 * longest - 1, seed));
        let operands = Operands {
            query: input(query_rows, 1),
            key: input(tokens, 2),
            value: input(tokens, 3),
            position_key: table(self.positions[0], 4),
            position_query: table(self.positions[1], 5),
        };
        (operands, Input::random((query_rows, width), 6, self.format, device))
    }

    /// Context, gradients, and how far they may be off: in half precision the probabilities, the
    /// gradients of the scores and the context are rounded on the way.
    fn check(&self, device: &Device) {
        if !has_room(self.tile, self.size, self.format, device) {
            assert!(device.is_cuda(), "the emulator has room for each tile");
            return; // an A100's blocks have less shared memory than an H100's
        }
        let attention = self.attention();
        let (inputs, gradient) = self.inputs(device);
        let there = inputs.map(|input| Ok(self.laid_out(&input.device))).unwrap();
        let here = inputs.map(|input| Ok(input.cpu.clone())).unwrap();
        let (context, gradients) = reference::attention(&attention, &here, &gradient.cpu);

        let run = || {
            let (context, saved) = forward_tiled(&attention, &there, self.tile).unwrap();
            let found = there.map(|x| Ok(self.laid_out(&x.ones_like()?))).unwrap();
            let gradient = &gradient.device;
            backward_tiled(&attention, gradient, &there, &saved, &found, self.tile).unwrap();
            (context, found)
        };
        let (found_context, found) = run();
        let what = format!(
            "attention {:?} {} {:?} {:?} {}",
            self.lengths, self.size, self.format, self.queries, self.tile as usize
        );
        assert_eq!(found_context.dtype(), self.format);
        close(&what, &found_context, &context, 5e-6 + 2.0 * epsilon(self.format));
        let again = run();
        same_bits(&what, &found_context, &again.0);
        let tensors = |all: &Operands<Tensor>| {
            let required = [all.query.clone(), all.key.clone(), all.value.clone()];
            required.into_iter().chain(all.position_key.clone()).chain(all.position_query.clone())
        };
        let expected = [&gradients.query, &gradients.key, &gradients.value]
            .into_iter()
            .chain(&gradients.position_key)
            .chain(&gradients.position_query);
        let names = ["query", "key", "value", "position", "position"];
        let all = tensors(&found).zip(tensors(&again.1)).zip(expected).zip(names);
        let mut compared = 0;
        for (((found, again), expected), name) in all {
            assert_eq!(found.dtype(), self.format);
            let what = format!("{what} by {name}");
            close(&what, &found, expected, 2e-5 + 4.0 * epsilon(self.format));
            same_bits(&what, &found, &again);
            compared += 1;
        }
        assert_eq!(compared, 3 + self.positions.iter().filter(|&&used| used).count());
    }
}

const MIXED: [usize; 6] = [2, 129, 1, 16, 127, 128];

device_test! {
    fn attention_agrees_with_the_cpu_at_mixed_lengths(device) {
        for queries in [Queries::All, Queries::First] {
            for tile in [Tile::T32, Tile::T16] {
                for format in super::FORMATS {
                    Case { queries, format, tile, ..Case::new(&MIXED, 16) }.check(device);
                }
            }
        }
    }
}

device_test! {
    fn attention_agrees_with_the_cpu_at_length_512(device) {
        for queries in [Queries::All, Queries::First] {
            Case { queries, heads: 1, ..Case::new(&[512, 16], 64) }.check(device);
        }
        Case { format: DType::BF16, heads: 1, ..Case::new(&[512], 64) }.check(device);
    }
}

device_test! {
    /// Operands are blocks of columns of one product; also with rows at odd addresses.
    fn attention_takes_parts_of_wider_matrices(device) {
        for size in [8, 5] {
            for format in super::FORMATS {
                Case { format, strided: true, ..Case::new(&[40, 7], size) }.check(device);
            }
        }
    }
}

device_test! {
    /// Odd sizes have no vectors, small ones padding; 128 is the largest a model has.
    fn attention_agrees_with_the_cpu_at_every_head_size(device) {
        for size in [1, 5, 8, 24, 64, 100, 128] {
            for format in super::FORMATS {
                for tile in [Tile::T32, Tile::T16] {
                    Case { format, tile, heads: 3, ..Case::new(&[33, 7, 16], size) }.check(device);
                }
            }
        }
    }
}

device_test! {
    fn attention_agrees_with_the_cpu_whatever_the_terms(device) {
        for positions in [[true, false], [false, true], [false, false]] {
            for masked in [false, true] {
                for queries in [Queries::All, Queries::First] {
                    let case = Case { queries, masked, positions, ..Case::new(&[40, 3], 12) };
                    case.check(device);
                }
            }
        }
    }
}

device_test! {
    /// The functions that the model calls choose the tile.
    fn attention_chooses_a_tile_that_fits(device) {
        for (size, format) in [(64, DType::F16), (128, DType::F32)] {
            let case = Case { format, ..Case::new(&[21, 40], size) };
            let attention = case.attention();
            let (inputs, gradient) = case.inputs(device);
            let there = inputs.map(|input| Ok(input.device.clone())).unwrap();
            let here = inputs.map(|input| Ok(input.cpu.clone())).unwrap();
            let (expected, gradients) = reference::attention(&attention, &here, &gradient.cpu);
            let (context, saved) = forward(&attention, &there).unwrap();
            close("context", &context, &expected, 5e-6 + 2.0 * epsilon(format));
            let found =
                backward(&attention, &gradient.device, &there, &saved).unwrap();
            assert_eq!(read(&found.query).len(), gradients.query.len());
            close("by key", &found.key, &gradients.key, 2e-5 + 4.0 * epsilon(format));
        }
    }
}
