//! The targets of the fuzzer, each within a limit of memory.

pub mod readers;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a reader may take for any input.
const ALWAYS: usize = 64 << 20;

/// Bytes that it may take for each byte of its input.
const FOR_EACH_BYTE: usize = 4;

/// Reads the input.
///
/// # Panics
/// If the reader does, or takes more memory than 64 MiB and four times the input.
pub fn within_limits(read: readers::Read, input: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    read(input);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let limit = ALWAYS + FOR_EACH_BYTE * input.len();
    assert!(taken <= limit, "{taken} bytes of memory for an input of {} bytes", input.len());
}
