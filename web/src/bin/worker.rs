//! The worker's entry point. A worker holds the weights of one fold or a few folds.
//!
//! Trunk and `cargo xtask package` build `worker.js`, `worker_bg.wasm` and `worker_loader.js`; the last is the one
//! to start.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: Reporting = Reporting { has_reported: AtomicBool::new(false) };

fn main() {
    web::worker::start();
}

/// The system's allocator, which also tells the page when memory runs out. The trap that follows would not say
/// why.
struct Reporting {
    /// Set by the first report, as reporting may itself need memory.
    has_reported: AtomicBool,
}

impl Reporting {
    fn report_null(&self, pointer: *mut u8) -> *mut u8 {
        if pointer.is_null() && !self.has_reported.swap(true, Ordering::Relaxed) {
            web::worker::report_out_of_memory();
        }
        pointer
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its interface")]
// SAFETY: every call is passed to `System` unchanged, and its result is returned unchanged.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.report_null(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.report_null(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.report_null(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}
