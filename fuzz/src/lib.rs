//! What all fuzz targets share: an allocator that ends the run when one allocation is too large.
//!
//! Rust's allocations only: libFuzzer's own go past it.

pub mod tekkens;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

/// Most bytes one allocation may have; inputs are far smaller, so anything larger came from an unchecked number.
pub const MOST_ALLOCATED: usize = 64 << 20;

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn check(size: usize) {
    if size > MOST_ALLOCATED {
        // Nothing here may allocate.
        let _ = std::io::stderr().write_all(b"fuzz: one allocation of more than 64 MiB\n");
        std::process::abort();
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check(new_size);
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
}
