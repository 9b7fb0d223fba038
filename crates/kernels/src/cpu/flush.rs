//! Subnormals as zeros, for the length of one bf16 product: the mode in which a tile unit always computes.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;

/// Sets FTZ and DAZ in this thread's MXCSR until dropped.
///
/// Rust gives floating-point code no way to say this, and compiled code may in principle be moved across the change. So
/// what runs under the guard is one call of a function that is never inlined (`run` in `avx2.rs`, `avx512.rs`), whose
/// only floating-point operations are intrinsics of the product. The conformance table compares subnormal products with
/// the reference, which flushes by hand: were anything moved, it would fail.
#[cfg(target_arch = "x86_64")]
pub(crate) struct FlushSubnormals {
    saved: u32,
}

#[cfg(target_arch = "x86_64")]
impl FlushSubnormals {
    const FTZ_AND_DAZ: u32 = 1 << 15 | 1 << 6;

    pub fn new() -> FlushSubnormals {
        let mut saved = 0u32;
        // SAFETY: stores the 4 bytes of MXCSR into `saved`, which is 4 bytes and ours.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut saved, options(nostack, preserves_flags)) };
        set(saved | Self::FTZ_AND_DAZ);
        FlushSubnormals { saved }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for FlushSubnormals {
    fn drop(&mut self) {
        set(self.saved);
    }
}

#[cfg(target_arch = "x86_64")]
fn set(mxcsr: u32) {
    // SAFETY: loads 4 bytes of ours. The value came from `stmxcsr`, with at most FTZ and DAZ added, so no reserved bit
    // is set and no exception is unmasked.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
}
