//! The allocator, for this library, its binary and its benches.
//!
//! A training step makes and drops hundreds of large tensors. An allocator that hands such blocks
//! back to the kernel spends a sixth of the step on page faults to get them again.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for the next tensors instead of returning it after 10 ms. To be called once,
/// at the start of a program that trains or predicts.
pub fn keep_freed_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const NEVER: std::ffi::c_long = -1;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it sets an integer that the allocator reads from then on.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER);
    }
}
