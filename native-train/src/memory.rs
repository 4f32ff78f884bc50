//! The allocator of this library, its binary and its benches, and the memory that a process has taken.
//!
//! A training step makes and drops hundreds of large tensors. An allocator that returns such blocks to
//! the kernel spends a sixth of the step on page faults to get them back.

// The fuzzer counts what is allocated, with an allocator of its own.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for the next tensors instead of returning it after 10 ms. A program that trains
/// or predicts calls this once, at its start.
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

/// The most memory that this process has had at a time, where Linux reports it.
pub fn peak_memory_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_the_status_file() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(high_water_mark(status), Some(1234 * 1024));
        assert_eq!(high_water_mark("VmRSS:\t 1000 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn peak_memory_grows_with_what_is_touched() {
        let before = peak_memory_bytes().unwrap();
        let touched = vec![1u8; before as usize + (32 << 20)];
        assert!(peak_memory_bytes().unwrap() > std::hint::black_box(touched).len() as u64);
    }
}
