//! The sizes of panels and tiles.

/// Outputs of a panel.
pub const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 8 } else { 16 };

/// Panels whose outputs are written together: they fill a line of the cache. AVX-512 has registers for the sums of two.
pub const PANELS: usize = 2;

/// Whether the rows of a tile are interleaved. In WebAssembly a pointer for each row would take a register that is needed; an
/// x86-64 reads the rows where they lie, faster than they are interleaved.
pub const INTERLEAVED: bool = cfg!(target_arch = "wasm32");

/// The most rows of a tile. With the sums, weights and products of so many rows, one vector register is left.
pub const ROWS: usize = if cfg!(target_arch = "wasm32") { 5 } else { 6 };

/// Bytes of activations that a task's panels pass together, less than a second-level cache. The browser's texts are few: there
/// all rows pass a panel at once, which is read from memory.
pub const CHUNK_BYTES: usize = if cfg!(target_arch = "wasm32") { usize::MAX } else { 256 * 1024 };
