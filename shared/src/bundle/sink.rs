//! A tensor while its shards arrive: rows come in any order, each exactly once, and are decoded at once or copied as they
//! are stored. The deltas of a fold come likewise.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::encoding::Residency;
use crate::Result;
use crate::kernels::low_bits::Bits;
use crate::kernels::packed::PackedLinear;
use crate::quant::{Deltas, Format, Operand, QuantizedMatrix, QuantizedRows, Segment};

/// Room for a whole tensor, its rows flattened to `width` numbers.
pub(super) struct Sink {
    shape: Vec<usize>,
    residency: Residency,
    content: Content,
    arrived: Ledger,
    deltas_arrived: Ledger,
    /// Deltas of rows that are kept as they are stored; to others they are added at once. `None`: there are none.
    deltas: Option<Deltas>,
}

/// The rows that have arrived.
enum Content {
    /// Sums of rows and deltas.
    Dense(Vec<f32>),
    Quantized(QuantizedMatrix),
    /// All rows, where no deltas can follow.
    Packed(Arc<PackedLinear>),
    /// Rows that another fold has in memory.
    Shared(Arc<QuantizedMatrix>),
}

/// The tensor that a filled sink gives.
pub(super) enum Filled {
    Dense(Tensor),
    Rows(Segment),
    Packed(Arc<PackedLinear>),
}

impl Sink {
    /// `format`: of the arriving rows. `deltas`: the bits of the deltas that may arrive.
    pub fn new(
        shape: Vec<usize>,
        format: Format,
        residency: Residency,
        deltas: Option<Bits>,
    ) -> Self {
        let matrix_shape @ [rows, width] = flat(&shape);
        let content = match residency {
            Residency::Dense | Residency::Packed(Operand::F32) => {
                Content::Dense(vec![0.0; rows * width])
            }
            _ => Content::Quantized(QuantizedMatrix::unfilled(format, rows, width)),
        };
        let deltas = match content {
            Content::Dense(_) => None,
            _ => deltas.map(|bits| Deltas::none(bits, matrix_shape)),
        };
        let (arrived, deltas_arrived) = (Ledger::new(rows), Ledger::new(rows));
        Self { shape, residency, content, arrived, deltas_arrived, deltas }
    }

    /// A sink for a matrix whose rows another fold has in memory.
    pub fn beside(rows: Arc<QuantizedMatrix>, deltas: Option<Bits>) -> Self {
        let shape = rows.shape();
        Self {
            shape: shape.to_vec(),
            residency: Residency::Rows,
            content: Content::Shared(rows),
            arrived: Ledger::full(shape[0]),
            deltas_arrived: Ledger::new(shape[0]),
            deltas: deltas.map(|bits| Deltas::none(bits, shape)),
        }
    }

    /// Whether all rows have arrived.
    pub fn is_full(&self) -> bool {
        self.arrived.missing == 0
    }

    /// Takes rows, in runs of neighbours: first row and number of rows. `false` if a row is outside of the tensor or has
    /// arrived before, if the runs are not as many rows as `rows`, or if rows that came before have another format.
    pub fn take(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        rows: QuantizedRows<'_>,
    ) -> bool {
        let [_, width] = flat(&self.shape);
        let content = &mut self.content;
        if let Content::Quantized(matrix) = content
            && matrix.format() != rows.format()
        {
            return false;
        }
        let taken = self.arrived.take(runs, rows, |first, rows| match content {
            // Added to zeros, or to deltas that came first.
            Content::Dense(values) => rows.add_to(&mut values[first * width..]),
            Content::Quantized(matrix) => matrix.copy_rows(first, rows),
            Content::Packed(_) | Content::Shared(_) => unreachable!("all rows have arrived"),
        });
        if self.is_full() {
            self.pack_exactly();
        }
        taken
    }

    /// Packs integers as they are as soon as all have arrived, so that a fold is not in memory twice.
    fn pack_exactly(&mut self) {
        if let Content::Quantized(matrix) = &mut self.content
            && let Residency::Packed(Operand::Int8 | Operand::Int16) = self.residency
        {
            let empty = QuantizedMatrix::unfilled(matrix.format(), 0, matrix.shape()[1]);
            let matrix = std::mem::replace(matrix, empty);
            self.content = Content::Packed(matrix.pack().into());
        }
    }

    /// Takes deltas of rows; otherwise as [`take`](Self::take). Not every row has a delta.
    pub fn take_deltas(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        rows: QuantizedRows<'_>,
    ) -> bool {
        let [_, width] = flat(&self.shape);
        let Self { content, deltas, deltas_arrived, .. } = self;
        deltas_arrived.take(runs, rows, |first, rows| match (&mut *content, &mut *deltas) {
            (Content::Dense(values), _) => rows.add_to(&mut values[first * width..]),
            (_, Some(deltas)) => deltas.push(first, rows),
            (_, None) => unreachable!("the encoding has deltas of this tensor"),
        })
    }

    /// The tensor, all of whose rows have arrived.
    pub fn finish(self) -> Result<Filled> {
        debug_assert!(self.is_full());
        let rows = match self.content {
            Content::Dense(values) if self.residency == Residency::Dense => {
                let tensor = Tensor::from_vec(values, self.shape, &Device::Cpu)?;
                return Ok(Filled::Dense(tensor));
            }
            Content::Dense(values) => {
                let [_, width] = flat(&self.shape);
                return Ok(Filled::Packed(PackedLinear::f32(&values, width).into()));
            }
            Content::Packed(weight) => return Ok(Filled::Packed(weight)),
            Content::Quantized(matrix) => matrix.into(),
            Content::Shared(rows) => rows,
        };
        let segment = Segment { rows, deltas: self.deltas };
        match self.residency {
            Residency::Packed(_) => Ok(Filled::Packed(segment.pack().into())),
            _ => Ok(Filled::Rows(segment)),
        }
    }
}

/// [rows, width] of a tensor; a vector's rows have one number.
pub(super) fn flat(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1..].iter().product()]
}

/// The rows that have arrived, one flag each.
struct Ledger {
    filled: Vec<bool>,
    missing: usize,
}

impl Ledger {
    fn new(rows: usize) -> Self {
        Self { filled: vec![false; rows], missing: rows }
    }

    fn full(rows: usize) -> Self {
        Self { filled: vec![true; rows], missing: 0 }
    }

    /// Gives `place` each run: its first row, and its rows. The result is that of [`Sink::take`].
    fn take(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        mut rows: QuantizedRows<'_>,
        mut place: impl FnMut(usize, QuantizedRows<'_>),
    ) -> bool {
        for (first, count) in runs {
            let end = first.checked_add(count);
            let Some(filled) = end.and_then(|end| self.filled.get_mut(first..end)) else {
                return false;
            };
            let Some((run, rest)) = rows.split_at_checked(count) else { return false };
            if filled.contains(&true) {
                return false;
            }
            filled.fill(true);
            self.missing -= count;
            place(first, run);
            rows = rest;
        }
        rows.is_empty()
    }
}
