//! The worker's entry point: one instance holds one fold's weights, or a few folds'.
//!
//! Trunk and `cargo xtask package` make `worker.js`, `worker_bg.wasm` and, as the one to start,
//! `worker_loader.js` of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: Reporting = Reporting { has_reported: AtomicBool::new(false) };

fn main() {
    web::worker::start();
}

/// The usual allocator, except that it tells the page when there is no memory left. What follows is
/// a trap like any other, from which nobody could say that.
struct Reporting {
    /// Reporting may itself need memory.
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
// SAFETY: every call goes to `System` as it is, and its result comes back as it is.
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
