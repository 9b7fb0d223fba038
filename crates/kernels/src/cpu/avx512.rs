//! Sixteen lanes in one 512-bit register: AVX-512 F, BW, DQ, VL and VNNI, with or without BF16.

use crate::simd::{Kernel, Simd, dot_bf16, methods, pair_bf16};
use std::arch::x86_64::*;

/// Proof that this machine has the instructions, BF16's too if so named: only the `detect`s make one.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(());

impl Avx512<false> {
    /// The lanes, if the machine and the operating system have them.
    pub fn detect() -> Option<Avx512<false>> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma");
        found.then_some(Avx512(()))
    }

    /// Runs `kernel`, compiled for these instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { run(self, kernel) }
    }
}

impl Avx512<true> {
    /// The lanes, if they also multiply pairs of bf16 in the order of the definition.
    pub fn detect() -> Option<Avx512<true>> {
        Avx512::<false>::detect()?;
        if !is_x86_feature_detected!("avx512bf16") {
            return None;
        }
        // SAFETY: the features are there.
        let orderly = unsafe { multiplies_high_halves_first() };
        orderly.then_some(Avx512(()))
    }

    /// The same lanes for kernels that have no use for BF16.
    pub fn without_bf16(self) -> Avx512<false> {
        Avx512(())
    }

    /// Runs `kernel`, compiled for these instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { run_with_bf16(self, kernel) }
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn run<K: Kernel>(simd: Avx512<false>, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,fma")]
fn run_with_bf16<K: Kernel>(simd: Avx512<true>, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Whether VDPBF16PS adds the product of the high halves first and rounds after each: its description leaves room.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiplies_high_halves_first() -> bool {
    // 1 hides 2⁻²⁶ if it comes first and twice 2⁻²⁴ if they come one by one; a unit that rounds once hides neither.
    let (tiny, half_step) = (2f32.powi(-26), 2f32.powi(-24));
    let sum = |acc: f32, high: f32, low: f32| {
        let pair = (high.to_bits() & 0xffff_0000) | (low.to_bits() >> 16);
        let (pairs, ones) = (
            _mm512_set1_epi32(pair as i32),
            _mm512_set1_epi32(0x3f80_3f80),
        );
        _mm512_cvtss_f32(_mm512_dpbf16_ps(
            _mm512_set1_ps(acc),
            as_bf16(pairs),
            as_bf16(ones),
        ))
    };
    let stepwise = |acc: f32, high: f32, low: f32| (acc + high) + low;
    [
        (-1.0, 1.0, tiny),
        (-1.0, tiny, 1.0),
        (1.0, half_step, half_step),
    ]
    .into_iter()
    .all(|(acc, high, low)| sum(acc, high, low) == stepwise(acc, high, low))
}

impl<const BF16: bool> Simd for Avx512<BF16> {
    type F = __m512;
    type I = __m512i;
    const WIDE: bool = true;

    methods! {
        fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn load(x: &[f32; 16]) -> __m512 { _mm512_loadu_ps(x.as_ptr()) }
        fn store(x: __m512, out: &mut [f32; 16]) -> () { _mm512_storeu_ps(out.as_mut_ptr(), x) }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn larger(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn select_less(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x)
        }
        fn sum(x: __m512) -> f32 {
            let x = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
        fn sums(x: [__m512; 16]) -> __m512 { sums(x) }
        fn fma_flushed(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn add_flushed(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn bits(x: __m512) -> __m512i { _mm512_castps_si512(x) }
        fn from_bits(x: __m512i) -> __m512 { _mm512_castsi512_ps(x) }
        fn to_f32(x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }
        fn halves(x: &[u8; 32]) -> __m512 {
            _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()))
        }
        fn widen(x: &[u16; 16]) -> __m512i {
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()))
        }
        fn isplat(x: i32) -> __m512i { _mm512_set1_epi32(x) }
        fn iload(x: &[i32; 16]) -> __m512i { _mm512_loadu_si512(x.as_ptr().cast()) }
        fn iload_bytes(x: &[u8; 64]) -> __m512i { _mm512_loadu_si512(x.as_ptr().cast()) }
        fn istore(x: __m512i, out: &mut [i32; 16]) -> () {
            _mm512_storeu_si512(out.as_mut_ptr().cast(), x)
        }
        fn iadd(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        fn isub(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        fn imul(a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi32(a, b) }
        fn and(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn or(a: __m512i, b: __m512i) -> __m512i { _mm512_or_si512(a, b) }
        fn xor(a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
        fn shl(a: __m512i, n: u32) -> __m512i { _mm512_sll_epi32(a, _mm_cvtsi32_si128(n as i32)) }
        fn shr(a: __m512i, n: u32) -> __m512i { _mm512_srl_epi32(a, _mm_cvtsi32_si128(n as i32)) }
        fn sra(a: __m512i, n: u32) -> __m512i { _mm512_sra_epi32(a, _mm_cvtsi32_si128(n as i32)) }
        fn dot8(acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
            _mm512_dpbusd_epi32(acc, w, a)
        }
        fn dot7(acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
            _mm512_dpbusd_epi32(acc, w, a)
        }
        fn pairs(w: __m512i, a: __m512i) -> __m512i { _mm512_maddubs_epi16(w, a) }
        fn add_halves(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi16(a, b) }
        fn dot16(acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
            _mm512_dpwssd_epi32(acc, w, a)
        }
        fn scale_bytes(a: __m512i, factor: __m512i) -> __m512i { _mm512_mullo_epi16(a, factor) }
        fn prefetch(bytes: &[u8]) -> () {
            for line in bytes.chunks(64) {
                _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
            }
        }
        fn transpose(rows: [&[u8; 16]; 16]) -> [__m512i; 4] { transpose(rows) }
    }

    #[inline(always)]
    fn dot_bf16(self, acc: __m512, a: __m512i, b: __m512i) -> __m512 {
        if !BF16 {
            return dot_bf16(self, acc, a, b);
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { _mm512_dpbf16_ps(acc, as_bf16(a), as_bf16(b)) }
    }

    #[inline(always)]
    fn pair_bf16(self, low: __m512, high: __m512) -> __m512i {
        if !BF16 {
            return pair_bf16(self, low, high);
        }
        // SAFETY: as in `dot_bf16`; the cast is of 64 bytes to 64 bytes.
        unsafe {
            let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_permutexvar_epi16(_mm512_loadu_si512(INTERLEAVED.as_ptr().cast()), halves)
        }
    }
}

/// The same bits as pairs of bf16.
#[inline(always)]
fn as_bf16(words: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes that may hold anything.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(words) }
}

/// Takes value `i` of the lower sixteen and of the upper sixteen to places `2i` and `2i + 1`.
const INTERLEAVED: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 16 {
        order[2 * i] = i as u16;
        order[2 * i + 1] = 16 + i as u16;
        i += 1;
    }
    order
};

/// Sixteen sums by the fixed tree: each step halves the lanes a sum still needs and puts two sums in one register.
#[inline]
#[target_feature(enable = "avx512f")]
fn sums(x: [__m512; 16]) -> __m512 {
    let zero = _mm512_setzero_ps();
    let (mut eights, mut fours, mut twos) = ([zero; 8], [zero; 4], [zero; 2]);
    for (i, sum) in eights.iter_mut().enumerate() {
        // The order in which sums 0..16 come to lie in lanes 0..16.
        let (block, lane) = (i / 2, 2 * i % 4);
        let (a, b) = (x[4 * lane + block], x[4 * lane + 4 + block]);
        let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
        *sum = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
    }
    for (i, sum) in fours.iter_mut().enumerate() {
        let (a, b) = (eights[2 * i], eights[2 * i + 1]);
        let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        *sum = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
    }
    for (i, sum) in twos.iter_mut().enumerate() {
        let (a, b) = (
            _mm512_castps_pd(fours[2 * i]),
            _mm512_castps_pd(fours[2 * i + 1]),
        );
        let low = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        *sum = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    let low = _mm512_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]);
    _mm512_add_ps(low, _mm512_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]))
}

/// Register `i` holds rows `i`, `4 + i`, `8 + i`, `12 + i`; then 4 x 4 within each quarter.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [&[u8; 16]; 16]) -> [__m512i; 4] {
    let mut z = [_mm512_setzero_si512(); 4];
    for (i, z) in z.iter_mut().enumerate() {
        // SAFETY: each load reads the 16 bytes of one of the references.
        let [a, b, c, d] = unsafe {
            [
                _mm_loadu_si128(rows[i].as_ptr().cast()),
                _mm_loadu_si128(rows[4 + i].as_ptr().cast()),
                _mm_loadu_si128(rows[8 + i].as_ptr().cast()),
                _mm_loadu_si128(rows[12 + i].as_ptr().cast()),
            ]
        };
        let quarter = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
        *z = _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(quarter, c), d);
    }
    let (a, b) = (
        _mm512_unpacklo_epi32(z[0], z[1]),
        _mm512_unpacklo_epi32(z[2], z[3]),
    );
    let (c, d) = (
        _mm512_unpackhi_epi32(z[0], z[1]),
        _mm512_unpackhi_epi32(z[2], z[3]),
    );
    [
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpackhi_epi64(c, d),
    ]
}
