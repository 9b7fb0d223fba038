//! Sixteen lanes in two 256-bit registers: AVX2, FMA and F16C.

use crate::simd::{Kernel, Simd, methods};
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

impl Simd for Avx2 {
    type F = F;
    type I = I;
    const WIDE: bool = false;
    const SUMS_IN_HALVES: bool = true;

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
            let low = _mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]);
            let high = _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1]);
            [_mm256_blendv_ps(y[0], x[0], low), _mm256_blendv_ps(y[1], x[1], high)]
        }
        fn sum(x: F) -> f32 {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
        fn sums(x: [F; 16]) -> F { [sums(&x, 0), sums(&x, 8)] }
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
            let (low, high) = (x.as_ptr().cast::<__m128i>(), x[16..].as_ptr().cast());
            [_mm256_cvtph_ps(_mm_loadu_si128(low)), _mm256_cvtph_ps(_mm_loadu_si128(high))]
        }
        fn widen(x: &[u16; 16]) -> I {
            let (low, high) = (x.as_ptr().cast::<__m128i>(), x[8..].as_ptr().cast());
            [
                _mm256_cvtepu16_epi32(_mm_loadu_si128(low)),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(high)),
            ]
        }
        fn isplat(x: i32) -> I { [_mm256_set1_epi32(x); 2] }
        fn iload(x: &[i32; 16]) -> I {
            let (low, high) = (x.as_ptr().cast::<__m256i>(), x[8..].as_ptr().cast());
            [_mm256_loadu_si256(low), _mm256_loadu_si256(high)]
        }
        fn iload_bytes(x: &[u8; 64]) -> I {
            let (low, high) = (x.as_ptr().cast::<__m256i>(), x[32..].as_ptr().cast());
            [_mm256_loadu_si256(low), _mm256_loadu_si256(high)]
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
        fn dot8(acc: I, w: I, a: I) -> I { [dot8(acc[0], w[0], a[0]), dot8(acc[1], w[1], a[1])] }
        fn dot7(acc: I, w: I, a: I) -> I { [dot7(acc[0], w[0], a[0]), dot7(acc[1], w[1], a[1])] }
        fn pairs(w: I, a: I) -> I {
            [_mm256_maddubs_epi16(w[0], a[0]), _mm256_maddubs_epi16(w[1], a[1])]
        }
        fn add_halves(a: I, b: I) -> I {
            [_mm256_add_epi16(a[0], b[0]), _mm256_add_epi16(a[1], b[1])]
        }
        fn dot16(acc: I, w: I, a: I) -> I {
            [
                _mm256_add_epi32(acc[0], _mm256_madd_epi16(w[0], a[0])),
                _mm256_add_epi32(acc[1], _mm256_madd_epi16(w[1], a[1])),
            ]
        }
        fn prefetch(bytes: &[u8]) -> () {
            for line in bytes.chunks(64) {
                _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
            }
        }
        fn transpose(rows: [&[u8; 16]; 16]) -> [I; 4] {
            let (low, high) = (transpose(&rows, 0), transpose(&rows, 8));
            [[low[0], high[0]], [low[1], high[1]], [low[2], high[2]], [low[3], high[3]]]
        }
    }
}

/// A pair of products can pass 32767, where maddubs saturates; without the top bit of `w` no pair does, and nor do the
/// top bits alone (2 · 128 · 127 = 32512).
#[inline]
#[target_feature(enable = "avx2")]
fn dot8(acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
    let top = _mm256_set1_epi8(i8::MIN);
    let acc = dot7(acc, _mm256_andnot_si256(top, w), a);
    dot7(acc, _mm256_and_si256(top, w), a)
}

/// A pair of products is at most 2 · 128 · 127, within an i16.
#[inline]
#[target_feature(enable = "avx2")]
fn dot7(acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(w, a);
    _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Eight sums, from `x[first]` on, by the fixed tree: each step halves the lanes a sum still needs and puts two sums in
/// one register.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(x: &[F; 16], first: usize) -> __m256 {
    let zero = _mm256_setzero_ps();
    let (mut fours, mut twos) = ([zero; 4], [zero; 2]);
    for (i, sum) in fours.iter_mut().enumerate() {
        // The order in which sums 0..8 come to lie in lanes 0..8.
        let (a, b) = (x[first + i], x[first + 4 + i]);
        let (a, b) = (_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1]));
        let low = _mm256_permute2f128_ps::<0x20>(a, b);
        *sum = _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(a, b));
    }
    for (i, sum) in twos.iter_mut().enumerate() {
        let (a, b) = (
            _mm256_castps_pd(fours[2 * i]),
            _mm256_castps_pd(fours[2 * i + 1]),
        );
        let low = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
        *sum = _mm256_add_ps(low, _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    let low = _mm256_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]);
    _mm256_add_ps(low, _mm256_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]))
}

/// Rows `first..first + 8`: register `i` holds rows `i` and `4 + i` of them; then 4 x 4 within each half.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: &[&[u8; 16]; 16], first: usize) -> [__m256i; 4] {
    let mut z = [_mm256_setzero_si256(); 4];
    for (i, z) in z.iter_mut().enumerate() {
        let (a, b) = (
            rows[first + i].as_ptr().cast(),
            rows[first + 4 + i].as_ptr().cast(),
        );
        // SAFETY: each load reads the 16 bytes of one of the references.
        let (a, b) = unsafe { (_mm_loadu_si128(a), _mm_loadu_si128(b)) };
        *z = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
    }
    let (a, b) = (
        _mm256_unpacklo_epi32(z[0], z[1]),
        _mm256_unpacklo_epi32(z[2], z[3]),
    );
    let (c, d) = (
        _mm256_unpackhi_epi32(z[0], z[1]),
        _mm256_unpackhi_epi32(z[2], z[3]),
    );
    [
        _mm256_unpacklo_epi64(a, b),
        _mm256_unpackhi_epi64(a, b),
        _mm256_unpacklo_epi64(c, d),
        _mm256_unpackhi_epi64(c, d),
    ]
}
