//! Weights in the order in which tiles read them: panels of some outputs, whose weights are side by side.

use super::factor::interleave;
use super::geometry::COLUMNS;

/// Panel after panel, [steps, COLUMNS, step]: the next `step` inputs of each of the panel's outputs, then the next.
/// Missing inputs and outputs are zeros.
#[derive(PartialEq)]
pub enum Panels {
    /// Widened to i16 by the product.
    Int8(Vec<i8>),
    /// Multiplied as they are.
    Int16(Vec<i16>),
    /// Multiplied as they are.
    F32(Vec<f32>),
}

/// Packs rows [outputs, inputs] into panels.
pub fn pack<W: Copy + Default>(rows: &[W], inputs: usize, step: usize) -> Vec<W> {
    let (panel_rows, steps) = (inputs * COLUMNS, inputs.div_ceil(step));
    let panels = rows.len().div_ceil(panel_rows);
    let mut packed = vec![W::default(); panels * steps * COLUMNS * step];
    let places = packed.chunks_exact_mut(steps * COLUMNS * step);
    for (panel, rows) in places.zip(rows.chunks(panel_rows)) {
        let is_full = rows.len() == panel.len();
        match step {
            1 if is_full => interleave::<W, 1, COLUMNS>(rows, panel),
            2 if is_full => interleave::<W, 2, COLUMNS>(rows, panel),
            _ => {
                for (column, row) in rows.chunks_exact(inputs).enumerate() {
                    let places = panel[column * step..].chunks_mut(COLUMNS * step);
                    for (place, numbers) in places.zip(row.chunks(step)) {
                        place[..numbers.len()].copy_from_slice(numbers);
                    }
                }
            }
        }
    }
    packed
}
