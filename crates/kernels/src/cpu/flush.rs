//! Subnormals as zeros, for the length of one bf16 product: the mode in which a tile unit always computes.

use std::arch::asm;

/// Sets FTZ and DAZ in this thread's MXCSR (FZ in its FPCR, on an Arm) until dropped.
///
/// Rust gives floating-point code no way to say this, and compiled code may in principle be moved across the change. So
/// what runs under the guard is one call of a function that is never inlined (`run` in `avx2.rs`, `avx512.rs`, `neon.rs`),
/// whose only floating-point operations are intrinsics of the product. The conformance table compares subnormal products
/// with the reference, which flushes by hand: were anything moved, it would fail.
pub(crate) struct FlushSubnormals {
    saved: Control,
}

impl FlushSubnormals {
    pub fn new() -> FlushSubnormals {
        let saved = control();
        set_control(saved | FLUSH);
        #[cfg(target_arch = "aarch64")]
        set_status(status() & !UNDERFLOW);
        FlushSubnormals { saved }
    }

    /// Whether a result has been made zero since [`FlushSubnormals::new`].
    #[cfg(target_arch = "aarch64")]
    pub fn flushed_a_result(&self) -> bool {
        status() & UNDERFLOW != 0
    }
}

impl Drop for FlushSubnormals {
    fn drop(&mut self) {
        set_control(self.saved);
    }
}

#[cfg(target_arch = "x86_64")]
type Control = u32;
/// FTZ and DAZ.
#[cfg(target_arch = "x86_64")]
const FLUSH: Control = 1 << 15 | 1 << 6;

#[cfg(target_arch = "x86_64")]
fn control() -> Control {
    let mut mxcsr = 0u32;
    // SAFETY: stores the 4 bytes of MXCSR into `mxcsr`, which is 4 bytes and ours.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    mxcsr
}

#[cfg(target_arch = "x86_64")]
fn set_control(mxcsr: Control) {
    // SAFETY: loads 4 bytes of ours. The value came from `stmxcsr`, with at most FTZ and DAZ added, so no reserved bit
    // is set and no exception is unmasked.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
type Control = u64;
/// FZ.
#[cfg(target_arch = "aarch64")]
const FLUSH: Control = 1 << 24;
/// UFC of FPSR, which stays set once a result was too small.
#[cfg(target_arch = "aarch64")]
const UNDERFLOW: u64 = 1 << 3;

#[cfg(target_arch = "aarch64")]
fn control() -> Control {
    let fpcr;
    // SAFETY: reads a register that every program may read.
    unsafe { asm!("mrs {}, fpcr", out(reg) fpcr, options(nostack, preserves_flags)) };
    fpcr
}

#[cfg(target_arch = "aarch64")]
fn set_control(fpcr: Control) {
    // SAFETY: the value came from `mrs`, with at most FZ added, so no exception traps.
    unsafe { asm!("msr fpcr, {}", in(reg) fpcr, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
fn status() -> u64 {
    let fpsr;
    // SAFETY: reads a register that every program may read.
    unsafe { asm!("mrs {}, fpsr", out(reg) fpsr, options(nostack, preserves_flags)) };
    fpsr
}

#[cfg(target_arch = "aarch64")]
fn set_status(fpsr: u64) {
    // SAFETY: the value came from `mrs`, less one cumulative flag, which nothing else reads.
    unsafe { asm!("msr fpsr, {}", in(reg) fpsr, options(nostack, preserves_flags)) };
}
