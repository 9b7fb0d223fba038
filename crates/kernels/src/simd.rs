//! Sixteen lanes: what fast code may ask of a processor, whatever its registers.
//!
//! Kernels and formats are written once against [`Simd`], in safe code; `cpu/{scalar,neon,avx2,avx512}.rs` supply the
//! lanes. A value of a `Simd` type exists only where its instructions do, which is why its methods are safe. Knows no
//! format and no operation.

use crate::math::{
    EXP_MAX, EXP_MIN, EXP_SERIES, EXP2_MIN, EXP2_ROUNDER, EXP2_SERIES, LN_2_HIGH, LN_2_LOW,
    NORMAL_SERIES, NORMAL_STEP, ROUNDER,
};
use std::f32::consts::LOG2_E;
use std::marker::PhantomData;

/// Declares methods of [`Simd`] whose bodies are intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! methods {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty { $($body:tt)* })*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: `self` exists, so `detect` found the features; loads and stores go through references to as
            // many bytes as they touch.
            unsafe { $($body)* }
        }
    )*};
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use methods;

/// Sixteen 32-bit lanes. Every operation is exact or rounded once, so all implementations agree bit for bit.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32, or sixty-four bytes.
    type I: Copy;
    /// Whether 32 or so values of `F` fit in registers (else about 8).
    const WIDE: bool;
    /// Whether sums of byte products are best kept in halves ([`Simd::pairs`]) as long as they fit: there is no
    /// instruction for `dot7`.
    const SUMS_IN_HALVES: bool = false;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; 16]) -> Self::F;
    fn store(self, x: Self::F, out: &mut [f32; 16]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a > b ? a : b`.
    fn larger(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a < b ? x : y`.
    fn select_less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// The sum of the lanes by the fixed tree: `i += i + 8`, then 4, 2, 1.
    fn sum(self, x: Self::F) -> f32;
    /// Lane `i` of the result is `sum(x[i])`.
    fn sums(self, x: [Self::F; 16]) -> Self::F;
    /// [`Simd::fma`] with subnormals as zeros; vector units run it inside [`crate::cpu::flush`].
    fn fma_flushed(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// [`Simd::add`] with subnormals as zeros.
    fn add_flushed(self, a: Self::F, b: Self::F) -> Self::F;

    fn bits(self, x: Self::F) -> Self::I;
    #[expect(
        clippy::wrong_self_convention,
        reason = "named as f32's; `self` is the lanes"
    )]
    fn from_bits(self, x: Self::I) -> Self::F;
    /// Rounded to nearest even.
    fn to_f32(self, x: Self::I) -> Self::F;
    /// Sixteen little-endian f16.
    fn halves(self, x: &[u8; 32]) -> Self::F;
    /// Sixteen u16, zero-extended.
    fn widen(self, x: &[u16; 16]) -> Self::I;

    fn isplat(self, x: i32) -> Self::I;
    fn iload(self, x: &[i32; 16]) -> Self::I;
    fn iload_bytes(self, x: &[u8; 64]) -> Self::I;
    fn istore(self, x: Self::I, out: &mut [i32; 16]);
    fn iadd(self, a: Self::I, b: Self::I) -> Self::I;
    fn isub(self, a: Self::I, b: Self::I) -> Self::I;
    fn imul(self, a: Self::I, b: Self::I) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl(self, a: Self::I, n: u32) -> Self::I;
    /// Fills with zeros.
    fn shr(self, a: Self::I, n: u32) -> Self::I;
    /// Fills with the sign.
    fn sra(self, a: Self::I, n: u32) -> Self::I;
    /// In each lane `acc + Σ w · a` over four bytes, `w` unsigned, `a` signed and above −128. Exact.
    fn dot8(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I;
    /// [`Simd::dot8`] where no `w` is above 127.
    fn dot7(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I;
    /// In each 16-bit half `Σ w · a` over two bytes, `w` at most 127, `a` signed.
    fn pairs(self, w: Self::I, a: Self::I) -> Self::I;
    /// Sums of 16-bit halves.
    fn add_halves(self, a: Self::I, b: Self::I) -> Self::I;
    /// In each lane `acc + Σ w · a` over two signed 16-bit halves. Exact unless it overflows 32 bits.
    fn dot16(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I;
    /// Each byte of `a` times the number below 256 that both halves of its lane of `factor` hold. No product is above 255.
    #[cfg(any(test, target_arch = "x86_64"))]
    #[inline(always)]
    fn scale_bytes(self, a: Self::I, factor: Self::I) -> Self::I {
        self.imul(a, self.and(factor, self.isplat(0xffff)))
    }
    /// Dword `c` of row `i` becomes lane `i` of result `c`.
    fn transpose(self, rows: [&[u8; 16]; 16]) -> [Self::I; 4];

    /// Asks for the cache lines of `bytes`, to be used soon. A hint: computes nothing.
    fn prefetch(self, bytes: &[u8]);

    /// In each lane `acc` plus the products of two bf16 pairs: by fused multiply-adds, first the high halves, then the
    /// low, subnormals as zeros.
    #[inline(always)]
    fn dot_bf16(self, acc: Self::F, a: Self::I, b: Self::I) -> Self::F {
        dot_bf16(self, acc, a, b)
    }

    /// In each lane the bf16 nearest to `low` and, in the high half, the one nearest to `high`. Neither is subnormal.
    #[inline(always)]
    fn pair_bf16(self, low: Self::F, high: Self::F) -> Self::I {
        pair_bf16(self, low, high)
    }

    /// `e^x` in each lane: [`crate::math::exp`], step by step.
    #[inline(always)]
    fn exp(self, x: Self::F) -> Self::F {
        let (least, most) = (self.splat(EXP_MIN), self.splat(EXP_MAX));
        let clamped = self.select_less(x, least, least, x);
        let clamped = self.select_less(most, clamped, most, clamped);
        let shifted = self.fma(clamped, self.splat(LOG2_E), self.splat(ROUNDER));
        let n = self.sub(shifted, self.splat(ROUNDER));
        let r = self.fma(n, self.splat(-LN_2_HIGH), clamped);
        let r = self.fma(n, self.splat(-LN_2_LOW), r);
        let mut series = self.splat(EXP_SERIES[0]);
        for coefficient in &EXP_SERIES[1..] {
            series = self.fma(series, r, self.splat(*coefficient));
        }
        let n = self.isub(self.bits(shifted), self.isplat(ROUNDER.to_bits() as i32));
        let half = self.sra(n, 1);
        let rest = self.isub(n, half);
        let value = self.mul(series, self.power_of_two(half));
        let value = self.mul(value, self.power_of_two(rest));
        let value = self.select_less(x, least, self.splat(0.0), value);
        self.select_less(most, x, self.splat(f32::INFINITY), value)
    }

    /// `2^x` in each lane: [`crate::math::exp2`], step by step.
    #[inline(always)]
    fn exp2(self, x: Self::F) -> Self::F {
        let rounder = self.splat(EXP2_ROUNDER);
        let clamped = self.larger(self.splat(EXP2_MIN), x);
        let shifted = self.add(clamped, rounder);
        let r = self.sub(clamped, self.sub(shifted, rounder));
        let mut series = self.splat(EXP2_SERIES[0]);
        for coefficient in &EXP2_SERIES[1..] {
            series = self.fma(series, r, self.splat(*coefficient));
        }
        let power = self.from_bits(self.shl(self.bits(shifted), 23));
        self.mul(self.fma(series, r, self.splat(1.0)), power)
    }

    /// `x · Φ(x)` in each lane: [`crate::math::gelu`], step by step.
    #[inline(always)]
    fn gelu(self, x: Self::F) -> Self::F {
        let one = self.splat(1.0);
        let a = self.from_bits(self.and(self.bits(x), self.isplat(i32::MAX)));
        let t = self.div(one, self.fma(self.splat(NORMAL_STEP), a, one));
        let mut series = self.splat(NORMAL_SERIES[0]);
        for coefficient in &NORMAL_SERIES[1..] {
            series = self.fma(series, t, self.splat(*coefficient));
        }
        let tail = self.exp(self.mul(self.mul(a, a), self.splat(-0.5)));
        let tail = self.mul(tail, self.mul(series, t));
        let lower = self.select_less(x, self.splat(0.0), tail, self.sub(one, tail));
        self.mul(x, lower)
    }

    /// `2ⁿ` for −127 < n < 128.
    #[inline(always)]
    fn power_of_two(self, n: Self::I) -> Self::F {
        self.from_bits(self.shl(self.iadd(n, self.isplat(127)), 23))
    }

    /// `x / (1 + e^−x)` in each lane: [`crate::math::silu`].
    #[inline(always)]
    fn silu(self, x: Self::F) -> Self::F {
        let negative = self.from_bits(self.xor(self.bits(x), self.isplat(i32::MIN)));
        self.div(x, self.add(self.splat(1.0), self.exp(negative)))
    }

    /// Up to sixteen values, the lanes beyond them 0.
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::F {
        let mut whole = [0.0; 16];
        whole[..x.len()].copy_from_slice(x);
        self.load(&whole)
    }
}

/// [`Simd::dot_bf16`] where no instruction does it.
#[inline(always)]
pub(crate) fn dot_bf16<S: Simd>(simd: S, acc: S::F, a: S::I, b: S::I) -> S::F {
    let mask = simd.isplat(0xffff_0000_u32 as i32);
    let (a_high, b_high) = (simd.and(a, mask), simd.and(b, mask));
    let acc = simd.fma_flushed(simd.from_bits(a_high), simd.from_bits(b_high), acc);
    let (a_low, b_low) = (simd.shl(a, 16), simd.shl(b, 16));
    simd.fma_flushed(simd.from_bits(a_low), simd.from_bits(b_low), acc)
}

/// [`Simd::pair_bf16`] where no instruction does it.
#[inline(always)]
pub(crate) fn pair_bf16<S: Simd>(simd: S, low: S::F, high: S::F) -> S::I {
    let (low, high) = (round_bf16(simd, low), round_bf16(simd, high));
    let high = simd.and(high, simd.isplat(0xffff_0000_u32 as i32));
    simd.or(simd.shr(low, 16), high)
}

/// The bits of `x`, their upper half made the nearest bf16: ties to even, NaN to NaN.
#[inline(always)]
fn round_bf16<S: Simd>(simd: S, x: S::F) -> S::I {
    let bits = simd.bits(x);
    let odd = simd.and(simd.shr(bits, 16), simd.isplat(1));
    let rounded = simd.iadd(bits, simd.iadd(odd, simd.isplat(0x7fff)));
    let finite = simd.select_less(x, simd.splat(f32::INFINITY), simd.from_bits(rounded), x);
    simd.bits(finite)
}

/// Work that can run on any lanes. `run` and everything below it must be `#[inline(always)]`: that is how it comes to
/// be compiled with the instructions of each set. For the same reason inner loops are loops, not closures: a closure
/// that is not inlined is compiled without them.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Sixteen byte runs of one length, one a lane: the same stretch of sixteen weight rows.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<'a> {
    starts: [*const u8; 16],
    /// The stretch, counted from `starts`.
    first: usize,
    end: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Lanes<'a> {
    /// The `len` bytes from `starts[lane]`, for each lane. Panics if any reach past the end of `bytes`.
    #[inline(always)]
    pub fn new(bytes: &'a [u8], starts: &[usize; 16], len: usize) -> Lanes<'a> {
        let mut lanes = [bytes.as_ptr(); 16];
        for (lane, start) in lanes.iter_mut().zip(starts) {
            *lane = bytes[*start..][..len].as_ptr();
        }
        Lanes {
            starts: lanes,
            first: 0,
            end: len,
            bytes: PhantomData,
        }
    }

    /// At most `len` bytes of each lane, from `offset`. Panics if it begins past the end.
    #[inline(always)]
    pub fn part(&self, offset: usize, len: usize) -> Lanes<'a> {
        let first = self.first + offset;
        assert!(first <= self.end, "bytes {first}.. of {}", self.end);
        Lanes {
            first,
            end: self.end.min(first + len),
            ..*self
        }
    }

    /// Bytes of each lane.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end - self.first
    }

    /// `N` bytes of each lane, from `offset`. Panics if they reach past the end.
    #[inline(always)]
    pub fn at<const N: usize>(&self, offset: usize) -> [&'a [u8; N]; 16] {
        let first = self.first + offset;
        assert!(first + N <= self.end, "bytes {first}.. of {}", self.end);
        let mut chunks = [&[0; N]; 16];
        for (chunk, start) in chunks.iter_mut().zip(self.starts) {
            // SAFETY: `start` is the first of at least `end` bytes borrowed for 'a (`new`; `part` only lowers `end`), and
            // the assertion above keeps the N bytes within them. A [u8; N] has no alignment.
            *chunk = unsafe { &*start.add(first).cast() };
        }
        chunks
    }
}
