//! Sixteen lanes in four 128-bit registers: NEON, which every 64-bit Arm has, and one of three ways to multiply bytes.

use super::flush::FlushSubnormals;
use crate::simd::{Kernel, Simd, methods};
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};
use std::marker::PhantomData;

/// Proof that this machine has NEON and the byte products `D`: only [`Neon::detect`] makes one.
///
/// `CAREFUL` lanes are for the rare kernel that met a result below the normal range, see [`fma_after_rounding`].
#[derive(Clone, Copy)]
pub(crate) struct Neon<D, const CAREFUL: bool = false>(PhantomData<D>);

impl<D: ByteProducts> Neon<D> {
    /// The lanes, if the machine has them.
    pub fn detect() -> Option<Neon<D>> {
        let found = is_aarch64_feature_detected!("neon") && D::found();
        found.then_some(Neon(PhantomData))
    }

    /// Runs `kernel`, compiled for these instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { D::run(self, kernel) }
    }

    /// Runs `kernel` with subnormals as zeros, by the definition's rule: a second time, if it met any.
    pub fn run_flushed<K, T>(self, kernel: &mut K) -> T
    where
        for<'a> &'a mut K: Kernel<Output = T>,
    {
        let guard = FlushSubnormals::new();
        let result = self.run(&mut *kernel);
        if !guard.flushed_a_result() {
            return result;
        }
        // SAFETY: as in `run`.
        unsafe { D::run(Neon::<D, true>(PhantomData), kernel) }
    }
}

/// What a machine multiplies bytes with.
pub(crate) trait ByteProducts: Copy + Send + Sync {
    /// Whether this machine has it.
    fn found() -> bool;

    /// Runs `kernel`, compiled for it.
    ///
    /// # Safety
    /// The machine has it.
    unsafe fn run<const CAREFUL: bool, K: Kernel>(
        simd: Neon<Self, CAREFUL>,
        kernel: K,
    ) -> K::Output;

    /// [`Simd::dot7`] in four lanes; `w` may be −128, too.
    ///
    /// # Safety
    /// The machine has it.
    unsafe fn dot7(acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t;

    /// [`Simd::dot8`] in four lanes: the top bit of a signed byte counts −128, so its products are taken off.
    ///
    /// # Safety
    /// The machine has it.
    #[inline(always)]
    unsafe fn dot8(acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
        // SAFETY: NEON is there, and `dot7` asks for what this asks for.
        unsafe {
            let top = vdupq_n_s32(0x8080_8080_u32 as i32);
            let acc = Self::dot7(acc, vbicq_s32(w, top), a);
            vsubq_s32(acc, Self::dot7(vdupq_n_s32(0), vandq_s32(w, top), a))
        }
    }
}

/// Products of bytes, pairwise added: any 64-bit Arm.
#[derive(Clone, Copy)]
pub(crate) struct Widening;

impl ByteProducts for Widening {
    fn found() -> bool {
        true
    }

    #[inline(never)]
    unsafe fn run<const CAREFUL: bool, K: Kernel>(
        simd: Neon<Self, CAREFUL>,
        kernel: K,
    ) -> K::Output {
        kernel.run(simd)
    }

    #[inline(always)]
    unsafe fn dot7(acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
        // SAFETY: NEON is there.
        unsafe { vpadalq_s16(acc, vreinterpretq_s16_s32(pairs(w, a))) }
    }
}

/// SDOT: Armv8.4 and most before it (Graviton 2, Apple M1, Ampere Altra, Raspberry Pi 5).
#[derive(Clone, Copy)]
pub(crate) struct Dotprod;

impl ByteProducts for Dotprod {
    fn found() -> bool {
        is_aarch64_feature_detected!("dotprod")
    }

    #[inline(never)]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn run<const CAREFUL: bool, K: Kernel>(
        simd: Neon<Self, CAREFUL>,
        kernel: K,
    ) -> K::Output {
        kernel.run(simd)
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn dot7(mut acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
        // SAFETY: one instruction, on registers, of a feature this function has. (Its intrinsic is not stable.)
        unsafe {
            asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc, in(vreg) w, in(vreg) a,
                options(pure, nomem, nostack, preserves_flags));
        }
        acc
    }
}

/// USDOT: Armv8.6 and most before it (Graviton 3, Apple M2, AmpereOne).
#[derive(Clone, Copy)]
pub(crate) struct I8mm;

impl ByteProducts for I8mm {
    fn found() -> bool {
        is_aarch64_feature_detected!("i8mm")
    }

    #[inline(never)]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn run<const CAREFUL: bool, K: Kernel>(
        simd: Neon<Self, CAREFUL>,
        kernel: K,
    ) -> K::Output {
        kernel.run(simd)
    }

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn dot7(acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
        // SAFETY: this function has the feature.
        unsafe { Self::dot8(acc, w, a) }
    }

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn dot8(mut acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
        // SAFETY: as `Dotprod::dot7`.
        unsafe {
            asm!("usdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc, in(vreg) w, in(vreg) a,
                options(pure, nomem, nostack, preserves_flags));
        }
        acc
    }
}

/// Lanes 0..4, 4..8, 8..12, 12..16.
type F = [float32x4_t; 4];
/// Lanes 0..4, 4..8, 8..12, 12..16.
type I = [int32x4_t; 4];

/// Declares methods that do one thing with each register of their arguments.
macro_rules! by_register {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $op:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: `self` exists, so `detect` found the features.
            unsafe { [$op($($arg[0]),*), $op($($arg[1]),*), $op($($arg[2]),*), $op($($arg[3]),*)] }
        }
    )*};
}

impl<D: ByteProducts, const CAREFUL: bool> Simd for Neon<D, CAREFUL> {
    type F = F;
    type I = I;
    const WIDE: bool = false;

    by_register! {
        fn add(a: F, b: F) -> F = vaddq_f32;
        fn sub(a: F, b: F) -> F = vsubq_f32;
        fn mul(a: F, b: F) -> F = vmulq_f32;
        fn div(a: F, b: F) -> F = vdivq_f32;
        fn fma(a: F, b: F, c: F) -> F = fma::<CAREFUL>;
        fn fma_flushed(a: F, b: F, c: F) -> F = fma::<CAREFUL>;
        fn add_flushed(a: F, b: F) -> F = vaddq_f32;
        fn larger(a: F, b: F) -> F = larger;
        fn select_less(a: F, b: F, x: F, y: F) -> F = select_less;
        fn bits(x: F) -> I = vreinterpretq_s32_f32;
        fn from_bits(x: I) -> F = vreinterpretq_f32_s32;
        fn to_f32(x: I) -> F = vcvtq_f32_s32;
        fn iadd(a: I, b: I) -> I = vaddq_s32;
        fn isub(a: I, b: I) -> I = vsubq_s32;
        fn imul(a: I, b: I) -> I = vmulq_s32;
        fn and(a: I, b: I) -> I = vandq_s32;
        fn or(a: I, b: I) -> I = vorrq_s32;
        fn xor(a: I, b: I) -> I = veorq_s32;
        fn dot8(acc: I, w: I, a: I) -> I = D::dot8;
        fn dot7(acc: I, w: I, a: I) -> I = D::dot7;
        fn pairs(w: I, a: I) -> I = pairs;
        fn add_halves(a: I, b: I) -> I = add_halves;
        fn dot16(acc: I, w: I, a: I) -> I = dot16;
    }

    methods! {
        fn splat(x: f32) -> F { [vdupq_n_f32(x); 4] }
        fn load(x: &[f32; 16]) -> F {
            let x = x.as_ptr();
            [vld1q_f32(x), vld1q_f32(x.add(4)), vld1q_f32(x.add(8)), vld1q_f32(x.add(12))]
        }
        fn store(x: F, out: &mut [f32; 16]) -> () {
            for (x, out) in x.into_iter().zip(out.as_chunks_mut::<4>().0) {
                vst1q_f32(out.as_mut_ptr(), x);
            }
        }
        fn sum(x: F) -> f32 {
            let x = fold(x);
            vaddv_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x)))
        }
        fn sums(x: [F; 16]) -> F {
            let [a, b, c, d] = [0, 4, 8, 12];
            [sums(&x, a), sums(&x, b), sums(&x, c), sums(&x, d)]
        }
        fn halves(x: &[u8; 32]) -> F {
            let x = x.as_ptr();
            [four_halves(x), four_halves(x.add(8)), four_halves(x.add(16)), four_halves(x.add(24))]
        }
        fn widen(x: &[u16; 16]) -> I {
            let (low, high) = (vld1q_u16(x.as_ptr()), vld1q_u16(x.as_ptr().add(8)));
            [
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                vreinterpretq_s32_u32(vmovl_high_u16(low)),
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                vreinterpretq_s32_u32(vmovl_high_u16(high)),
            ]
        }
        fn isplat(x: i32) -> I { [vdupq_n_s32(x); 4] }
        fn iload(x: &[i32; 16]) -> I {
            let x = x.as_ptr();
            [vld1q_s32(x), vld1q_s32(x.add(4)), vld1q_s32(x.add(8)), vld1q_s32(x.add(12))]
        }
        fn iload_bytes(x: &[u8; 64]) -> I {
            let x = x.as_ptr();
            [four_words(x), four_words(x.add(16)), four_words(x.add(32)), four_words(x.add(48))]
        }
        fn istore(x: I, out: &mut [i32; 16]) -> () {
            for (x, out) in x.into_iter().zip(out.as_chunks_mut::<4>().0) {
                vst1q_s32(out.as_mut_ptr(), x);
            }
        }
        fn shl(a: I, n: u32) -> I {
            let n = vdupq_n_s32(n as i32);
            [vshlq_s32(a[0], n), vshlq_s32(a[1], n), vshlq_s32(a[2], n), vshlq_s32(a[3], n)]
        }
        fn shr(a: I, n: u32) -> I {
            let n = vdupq_n_s32(-(n as i32));
            [shr(a[0], n), shr(a[1], n), shr(a[2], n), shr(a[3], n)]
        }
        fn sra(a: I, n: u32) -> I {
            let n = vdupq_n_s32(-(n as i32));
            [vshlq_s32(a[0], n), vshlq_s32(a[1], n), vshlq_s32(a[2], n), vshlq_s32(a[3], n)]
        }
        fn transpose(rows: [&[u8; 16]; 16]) -> [I; 4] {
            let [a, b, c, d] = [
                transpose(&rows, 0), transpose(&rows, 4), transpose(&rows, 8), transpose(&rows, 12),
            ];
            [
                [a[0], b[0], c[0], d[0]],
                [a[1], b[1], c[1], d[1]],
                [a[2], b[2], c[2], d[2]],
                [a[3], b[3], c[3], d[3]],
            ]
        }
        fn prefetch(bytes: &[u8]) -> () {
            for line in bytes.chunks(64) {
                asm!("prfm pldl2keep, [{}]", in(reg) line.as_ptr(),
                    options(nostack, preserves_flags, readonly));
            }
        }
    }
}

/// `a > b ? a : b`. (FMAX would return a NaN of either.)
#[inline(always)]
unsafe fn larger(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
}

#[inline(always)]
unsafe fn select_less(
    a: float32x4_t,
    b: float32x4_t,
    x: float32x4_t,
    y: float32x4_t,
) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe { vbslq_f32(vcltq_f32(a, b), x, y) }
}

#[inline(always)]
unsafe fn fma<const CAREFUL: bool>(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        if CAREFUL {
            fma_after_rounding(a, b, c)
        } else {
            vfmaq_f32(c, a, b)
        }
    }
}

/// `a · b + c`, flushed by the definition's rule. An Arm unit asks whether a result is subnormal before it is rounded, the
/// definition (and x86) after: what rounds up to the smallest normal stays. Twice such a result is normal on the way.
#[inline(always)]
unsafe fn fma_after_rounding(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        let result = vfmaq_f32(c, a, b);
        let twice = vfmaq_f32(vaddq_f32(c, c), vaddq_f32(a, a), b);
        let smallest = vceqq_f32(vabsq_f32(twice), vdupq_n_f32(2.0 * f32::MIN_POSITIVE));
        vbslq_f32(smallest, vmulq_n_f32(twice, 0.5), result)
    }
}

/// A pair of products is at most 2 · 128 · 127, within an i16.
#[inline(always)]
unsafe fn pairs(w: int32x4_t, a: int32x4_t) -> int32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        let (w, a) = (vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(a));
        let low = vmull_s8(vget_low_s8(w), vget_low_s8(a));
        vreinterpretq_s32_s16(vpaddq_s16(low, vmull_high_s8(w, a)))
    }
}

#[inline(always)]
unsafe fn add_halves(a: int32x4_t, b: int32x4_t) -> int32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
        vreinterpretq_s32_s16(vaddq_s16(a, b))
    }
}

#[inline(always)]
unsafe fn dot16(acc: int32x4_t, w: int32x4_t, a: int32x4_t) -> int32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        let (w, a) = (vreinterpretq_s16_s32(w), vreinterpretq_s16_s32(a));
        let low = vmull_s16(vget_low_s16(w), vget_low_s16(a));
        vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(w, a)))
    }
}

/// By `-n` bits to the left.
#[inline(always)]
unsafe fn shr(a: int32x4_t, n: int32x4_t) -> int32x4_t {
    // SAFETY: NEON is there.
    unsafe { vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), n)) }
}

/// The sixteen bytes from `bytes`, wherever they lie.
#[inline(always)]
unsafe fn four_words(bytes: *const u8) -> int32x4_t {
    // SAFETY: the caller's bytes; NEON is there.
    unsafe { vreinterpretq_s32_u8(vld1q_u8(bytes)) }
}

/// The eight bytes from `bytes`, wherever they lie, as f16.
#[inline(always)]
unsafe fn four_halves(bytes: *const u8) -> float32x4_t {
    // SAFETY: the caller's bytes; NEON is there.
    unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(bytes))) }
}

/// The first two steps of the fixed tree: `i += i + 8`, then 4.
#[inline(always)]
unsafe fn fold(x: F) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe { vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3])) }
}

/// Four sums, from `x[first]` on, by the fixed tree.
#[inline(always)]
unsafe fn sums(x: &[F; 16], first: usize) -> float32x4_t {
    // SAFETY: NEON is there.
    unsafe {
        let [a, b] = [(0, 1), (2, 3)].map(|(i, j)| {
            let (x, y) = (fold(x[first + i]), fold(x[first + j]));
            let (x, y) = (vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y));
            let low = vreinterpretq_f32_f64(vzip1q_f64(x, y));
            vaddq_f32(low, vreinterpretq_f32_f64(vzip2q_f64(x, y)))
        });
        vpaddq_f32(a, b)
    }
}

/// Rows `first..first + 4`, 4 x 4.
#[inline(always)]
unsafe fn transpose(rows: &[&[u8; 16]; 16], first: usize) -> I {
    // SAFETY: NEON is there; each load reads the 16 bytes of one of the references.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| four_words(rows[first + i].as_ptr()));
        let pairs = [
            (vtrn1q_s32(a, b), vtrn1q_s32(c, d)),
            (vtrn2q_s32(a, b), vtrn2q_s32(c, d)),
        ];
        let [(a, c), (b, d)] =
            pairs.map(|(x, y)| (vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
        [
            vreinterpretq_s32_s64(vzip1q_s64(a, c)),
            vreinterpretq_s32_s64(vzip1q_s64(b, d)),
            vreinterpretq_s32_s64(vzip2q_s64(a, c)),
            vreinterpretq_s32_s64(vzip2q_s64(b, d)),
        ]
    }
}

#[cfg(test)]
mod tests;
