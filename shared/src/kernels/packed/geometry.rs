//! The sizes of panels and tiles.

/// Outputs of a panel.
pub const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 8 } else { 16 };

/// Panels whose outputs are written together: they fill a line of the cache.
pub const PANELS: usize = 16 / COLUMNS;

/// The most rows of a tile. With the sums, weights and products of so many rows, one vector register is left.
pub const ROWS: usize = 5;
