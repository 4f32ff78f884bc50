//! A table of embeddings that stays as it was stored: rows are decoded when they are picked.
//!
//! The word embeddings are more than half of a DeBERTa-v3, and a text reads some dozens of their rows.

use candle_core::{Device, Tensor};

use crate::Result;

/// Rows of whole numbers, each row with a scale to multiply with.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedTable {
    width: usize,
    numbers: Numbers,
}

#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    /// A value times its row's scale.
    Int16 {
        values: Vec<i16>,
        scales: Vec<f32>,
    },
    Int8 {
        values: Vec<i8>,
        scales: Vec<f32>,
    },
}

impl EncodedTable {
    /// `values` are as many rows as there are scales, end to end.
    pub fn int16(values: Vec<i16>, scales: Vec<f32>) -> Self {
        let width = values.len() / scales.len();
        Self { width, numbers: Numbers::Int16 { values, scales } }
    }

    /// As [`int16`](Self::int16).
    pub fn int8(values: Vec<i8>, scales: Vec<f32>) -> Self {
        let width = values.len() / scales.len();
        Self { width, numbers: Numbers::Int8 { values, scales } }
    }

    /// [entries, width]
    pub fn shape(&self) -> [usize; 2] {
        let entries = match &self.numbers {
            Numbers::Int16 { scales, .. } | Numbers::Int8 { scales, .. } => scales.len(),
        };
        [entries, self.width]
    }

    /// -> [indices, width], f32.
    ///
    /// # Panics
    /// If an index is not below the number of entries.
    pub fn gather(&self, indices: &[u32]) -> Result<Tensor> {
        let mut output = Vec::with_capacity(indices.len() * self.width);
        for &index in indices {
            let row = index as usize * self.width..(index as usize + 1) * self.width;
            match &self.numbers {
                Numbers::Int16 { values, scales } => {
                    let scale = scales[index as usize];
                    output.extend(values[row].iter().map(|&x| f32::from(x) * scale));
                }
                Numbers::Int8 { values, scales } => {
                    let scale = scales[index as usize];
                    output.extend(values[row].iter().map(|&x| f32::from(x) * scale));
                }
            }
        }
        Ok(Tensor::from_vec(output, (indices.len(), self.width), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picked_rows_are_decoded() {
        let table = EncodedTable::int8(vec![1, -2, 127, 0, 5, 6], vec![0.5, 2.0, 0.25]);
        assert_eq!(table.shape(), [3, 2]);
        let rows = table.gather(&[2, 0, 2]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows, [[1.25, 1.5], [0.5, -1.0], [1.25, 1.5]]);

        let table = EncodedTable::int16(vec![1, -2, 32767, 300], vec![0.5, 2.0]);
        let rows = table.gather(&[1, 0]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows, [[65534.0, 600.0], [0.5, -1.0]]);
    }
}
