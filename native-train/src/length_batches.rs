//! Inference on many texts in batches of about equal length, with results in the given order.

use anyhow::Result;
use candle_core::Device;
use shared::batch::Batch;

use crate::grid::Grid;
use crate::threads;

/// The tokens of a batch. There is no padding, so this limits memory, not waste.
const BATCH_TOKENS: usize = 4096;

/// Calls `forward`, which computes on `device`, on batches of `texts` and returns a row of `columns` values, one for
/// each label, for each text. After each batch it calls `progress` with the number of texts done.
///
/// # Errors
/// The errors of `forward`.
pub fn run(
    device: &Device,
    texts: &[&[u32]],
    columns: usize,
    forward: impl Fn(&Batch) -> Result<Vec<f32>> + Sync,
    mut progress: impl FnMut(usize),
) -> Result<Grid<f32>> {
    // Texts of one length are batched, so that the threads that share a batch end together.
    let mut by_length: Vec<usize> = (0..texts.len()).collect();
    by_length.sort_by_key(|&row| texts[row].len());

    let mut results = Grid::new(columns, vec![0.0; texts.len() * columns]);
    let mut left = &by_length[..];
    while !left.is_empty() {
        let (rows, rest) = left.split_at(fitting(left, texts));
        let batch = Batch::pack(rows.iter().map(|&row| texts[row]));
        let found = threads::compute_on(device, || forward(&batch))?;
        for (&row, found) in rows.iter().zip(found.chunks_exact(columns)) {
            results.row_mut(row).copy_from_slice(found);
        }
        left = rest;
        progress(texts.len() - left.len());
    }
    Ok(results)
}

/// The number of first rows that make a batch: at least one.
fn fitting(rows: &[usize], texts: &[&[u32]]) -> usize {
    let mut tokens = 0;
    let full = rows.iter().position(|&row| {
        tokens += texts[row].len();
        tokens > BATCH_TOKENS
    });
    full.unwrap_or(rows.len()).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_text_gets_its_own_result_whatever_the_batches() {
        let texts: Vec<Vec<u32>> = (0..300)
            .map(|n| vec![n; 1 + (n as usize * 37) % 120])
            .chain([vec![300; 5000]])
            .collect();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let batches = AtomicUsize::new(0);
        let echo = |batch: &Batch| {
            batches.fetch_add(1, Ordering::Relaxed);
            assert!(batch.input_ids().len() <= BATCH_TOKENS || batch.texts() == 1);
            let first = batch.first_tokens().iter();
            Ok(first.map(|&token| batch.input_ids()[token as usize] as f32).collect())
        };
        let mut done = 0;
        let results = run(&Device::Cpu, &texts, 1, echo, |n| done = n).unwrap();
        assert_eq!(
            results.column(0).collect::<Vec<_>>(),
            (0..=300).map(|n| n as f32).collect::<Vec<_>>()
        );
        assert_eq!(done, texts.len());
        assert!(batches.into_inner() > 4, "one batch would prove nothing");
    }
}
