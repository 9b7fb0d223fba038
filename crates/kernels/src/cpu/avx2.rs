//! Sixteen lanes in two 256-bit registers: AVX2, FMA and F16C.

use crate::simd::{Kernel, Simd};
use std::arch::x86_64::*;

/// Proof that this machine has the instructions: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The lanes, if the machine and the operating system have them.
    pub fn detect() -> Option<Avx2> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Avx2(()))
    }

    /// Runs `kernel`, compiled for these instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { run(self, kernel) }
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn run<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Lanes 0..8 and 8..16.
type F = [__m256; 2];
/// Lanes 0..8 and 8..16.
type I = [__m256i; 2];

/// Declares methods whose bodies are intrinsics of the features above.
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

impl Simd for Avx2 {
    type F = F;
    type I = I;
    const WIDE: bool = false;

    methods! {
        fn splat(x: f32) -> F { [_mm256_set1_ps(x); 2] }
        fn load(x: &[f32; 16]) -> F {
            [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x[8..].as_ptr())]
        }
        fn store(x: F, out: &mut [f32; 16]) -> () {
            _mm256_storeu_ps(out.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(out[8..].as_mut_ptr(), x[1])
        }
        fn add(a: F, b: F) -> F { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        fn sub(a: F, b: F) -> F { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        fn mul(a: F, b: F) -> F { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        fn div(a: F, b: F) -> F { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
        fn fma(a: F, b: F, c: F) -> F {
            [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
        }
        fn larger(a: F, b: F) -> F { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        fn select_less(a: F, b: F, x: F, y: F) -> F {
            let less = |i: usize| _mm256_cmp_ps::<_CMP_LT_OQ>(a[i], b[i]);
            [_mm256_blendv_ps(y[0], x[0], less(0)), _mm256_blendv_ps(y[1], x[1], less(1))]
        }
        fn sum(x: F) -> f32 {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
        fn sums(x: [F; 16]) -> F {
            // Each step halves the lanes a sum still needs and puts two sums in one register.
            let eight = |half: usize| {
                let fours: [__m256; 4] = std::array::from_fn(|i| {
                    // The order in which sums 0..8 end up in lanes 0..8.
                    let (a, b) = (x[8 * half + i], x[8 * half + 4 + i]);
                    let (a, b) = (_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1]));
                    let low = _mm256_permute2f128_ps::<0x20>(a, b);
                    _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(a, b))
                });
                let twos: [__m256; 2] = std::array::from_fn(|i| {
                    let (a, b) = (_mm256_castps_pd(fours[2 * i]), _mm256_castps_pd(fours[2 * i + 1]));
                    let low = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
                    _mm256_add_ps(low, _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)))
                });
                let low = _mm256_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]);
                _mm256_add_ps(low, _mm256_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]))
            };
            [eight(0), eight(1)]
        }
        fn fma_flushed(a: F, b: F, c: F) -> F {
            [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
        }
        fn add_flushed(a: F, b: F) -> F {
            [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])]
        }
        fn bits(x: F) -> I { [_mm256_castps_si256(x[0]), _mm256_castps_si256(x[1])] }
        fn from_bits(x: I) -> F { [_mm256_castsi256_ps(x[0]), _mm256_castsi256_ps(x[1])] }
        fn to_f32(x: I) -> F { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
        fn halves(x: &[u8; 32]) -> F {
            let half = |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(x[at..].as_ptr().cast()));
            [half(0), half(16)]
        }
        fn widen(x: &[u16; 16]) -> I {
            let half = |at: usize| _mm256_cvtepu16_epi32(_mm_loadu_si128(x[at..].as_ptr().cast()));
            [half(0), half(8)]
        }
        fn isplat(x: i32) -> I { [_mm256_set1_epi32(x); 2] }
        fn iload(x: &[i32; 16]) -> I {
            let half = |at: usize| _mm256_loadu_si256(x[at..].as_ptr().cast());
            [half(0), half(8)]
        }
        fn iload_bytes(x: &[u8; 64]) -> I {
            let half = |at: usize| _mm256_loadu_si256(x[at..].as_ptr().cast());
            [half(0), half(32)]
        }
        fn istore(x: I, out: &mut [i32; 16]) -> () {
            _mm256_storeu_si256(out.as_mut_ptr().cast(), x[0]);
            _mm256_storeu_si256(out[8..].as_mut_ptr().cast(), x[1])
        }
        fn iadd(a: I, b: I) -> I { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
        fn isub(a: I, b: I) -> I { [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])] }
        fn imul(a: I, b: I) -> I {
            [_mm256_mullo_epi32(a[0], b[0]), _mm256_mullo_epi32(a[1], b[1])]
        }
        fn and(a: I, b: I) -> I { [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])] }
        fn or(a: I, b: I) -> I { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
        fn xor(a: I, b: I) -> I { [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])] }
        fn shl(a: I, n: u32) -> I {
            let n = _mm_cvtsi32_si128(n as i32);
            [_mm256_sll_epi32(a[0], n), _mm256_sll_epi32(a[1], n)]
        }
        fn shr(a: I, n: u32) -> I {
            let n = _mm_cvtsi32_si128(n as i32);
            [_mm256_srl_epi32(a[0], n), _mm256_srl_epi32(a[1], n)]
        }
        fn sra(a: I, n: u32) -> I {
            let n = _mm_cvtsi32_si128(n as i32);
            [_mm256_sra_epi32(a[0], n), _mm256_sra_epi32(a[1], n)]
        }
        fn dot8(acc: I, w: I, a: I) -> I {
            // A pair of products can pass 32767, where maddubs saturates; without its top bit no pair does, and nor do
            // the top bits alone (2 · 128 · 127 = 32512).
            let top = _mm256_set1_epi8(i8::MIN);
            let half = |i: usize| {
                let low = _mm256_maddubs_epi16(_mm256_andnot_si256(top, w[i]), a[i]);
                let high = _mm256_maddubs_epi16(_mm256_and_si256(top, w[i]), a[i]);
                let ones = _mm256_set1_epi16(1);
                let (low, high) = (_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
                _mm256_add_epi32(acc[i], _mm256_add_epi32(low, high))
            };
            [half(0), half(1)]
        }
        fn dot7(acc: I, w: I, a: I) -> I {
            let half = |i: usize| {
                let pairs = _mm256_maddubs_epi16(w[i], a[i]);
                _mm256_add_epi32(acc[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            };
            [half(0), half(1)]
        }
        fn dot16(acc: I, w: I, a: I) -> I {
            let half = |i: usize| _mm256_add_epi32(acc[i], _mm256_madd_epi16(w[i], a[i]));
            [half(0), half(1)]
        }
        fn transpose(rows: [&[u8; 16]; 16]) -> [I; 4] {
            // Rows 8h..8h + 8: register i holds rows i and 4 + i of them; then 4 x 4 within each half.
            let half = |h: usize| {
                let z: [__m256i; 4] = std::array::from_fn(|i| {
                    let row = |r: usize| _mm_loadu_si128(rows[8 * h + r].as_ptr().cast());
                    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(row(i)), row(4 + i))
                });
                let (a, b) = (_mm256_unpacklo_epi32(z[0], z[1]), _mm256_unpacklo_epi32(z[2], z[3]));
                let (c, d) = (_mm256_unpackhi_epi32(z[0], z[1]), _mm256_unpackhi_epi32(z[2], z[3]));
                [
                    _mm256_unpacklo_epi64(a, b),
                    _mm256_unpackhi_epi64(a, b),
                    _mm256_unpacklo_epi64(c, d),
                    _mm256_unpackhi_epi64(c, d),
                ]
            };
            let (low, high) = (half(0), half(1));
            std::array::from_fn(|c| [low[c], high[c]])
        }
    }
}
