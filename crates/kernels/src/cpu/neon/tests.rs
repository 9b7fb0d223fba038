//! Every method of the lanes against the scalar one, on hostile values; and how subnormals are flushed.

use super::*;
use crate::cpu::scalar::Scalar;

/// Words that, as f32 or as bytes, lie everywhere: every exponent, NaN, infinities, subnormals, −128 never in `a`.
struct Words(u64);

impl Words {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        let bits = (self.0 >> 32) as u32;
        match bits % 16 {
            0 => 0,
            1 => 0x8000_0000,
            2 => 0x7fc0_0001,
            3 => 0x7f80_0000 | bits & 0x8000_0000,
            4 => bits & 0x807f_ffff,
            5 => u32::MAX,
            _ => bits,
        }
    }

    fn words(&mut self) -> [i32; 16] {
        std::array::from_fn(|_| self.word() as i32)
    }

    fn floats(&mut self) -> [f32; 16] {
        self.words().map(|word| f32::from_bits(word as u32))
    }
}

/// Every method, its results one after another.
struct Everything {
    floats: [[f32; 16]; 16],
    words: [[i32; 16]; 3],
}

impl Everything {
    fn new(words: &mut Words) -> Everything {
        let floats = std::array::from_fn(|_| words.floats());
        let mut words = [words.words(), words.words(), words.words()];
        for a in &mut words[2] {
            *a = i32::from_le_bytes(a.to_le_bytes().map(|a| (a as i8).max(-127) as u8));
        }
        Everything { floats, words }
    }
}

impl Kernel for &mut Everything {
    type Output = (Vec<[f32; 16]>, Vec<[i32; 16]>);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let all = self.floats.map(|x| simd.load(&x));
        let [a, b, x, y] = [all[0], all[1], all[2], all[3]];
        let [w, v, bytes] = self.words.map(|x| simd.iload(&x));
        let sevens = simd.and(w, simd.isplat(0x7f7f_7f7f));
        let raw: Vec<u8> = self.words.as_flattened()[..16]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let raw = raw.as_chunks::<64>().0[0];
        simd.prefetch(&raw);
        let rows: [&[u8; 16]; 16] = std::array::from_fn(|i| &raw.as_chunks::<16>().0[i % 4]);
        let halves = raw.as_chunks::<32>().0;
        let short = std::array::from_fn(|i| u16::from_le_bytes([raw[i], raw[63 - i]]));
        let floats = [
            simd.add(a, b),
            simd.sub(a, b),
            simd.mul(a, b),
            simd.div(a, b),
            simd.fma(a, b, x),
            simd.larger(a, b),
            simd.larger(b, a),
            simd.select_less(a, b, x, y),
            simd.splat(simd.sum(a)),
            simd.sums(all),
            simd.halves(&halves[0]),
            simd.halves(&halves[1]),
            simd.to_f32(w),
            simd.from_bits(w),
            simd.exp(a),
            simd.exp2(a),
            simd.gelu(a),
            simd.silu(b),
        ];
        let [c, d, e, f] = simd.transpose(rows);
        let words = [
            simd.bits(a),
            simd.widen(&short),
            simd.iload_bytes(&raw),
            simd.iadd(w, v),
            simd.isub(w, v),
            simd.imul(w, v),
            simd.and(w, v),
            simd.or(w, v),
            simd.xor(w, v),
            simd.shl(w, 7),
            simd.shr(w, 16),
            simd.sra(w, 9),
            simd.dot8(v, w, bytes),
            simd.dot7(v, sevens, bytes),
            simd.pairs(sevens, bytes),
            simd.add_halves(v, w),
            simd.dot16(v, w, bytes),
            c,
            d,
            e,
            f,
        ];
        let floats = floats.into_iter().map(|x| {
            let mut out = [0.0; 16];
            simd.store(x, &mut out);
            out
        });
        let words = words.into_iter().map(|x| {
            let mut out = [0; 16];
            simd.istore(x, &mut out);
            out
        });
        (floats.collect(), words.collect())
    }
}

fn same(x: &[f32; 16], y: &[f32; 16]) -> bool {
    let mut lanes = x.iter().zip(y);
    lanes.all(|(x, y)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan())
}

fn every_method_is_the_scalar_one<D: ByteProducts>() {
    let Some(neon) = Neon::<D>::detect() else {
        println!("skipped: this machine does not have it");
        return;
    };
    let mut words = Words(1);
    for _ in 0..20_000 {
        let mut everything = Everything::new(&mut words);
        let (floats, ints) = neon.run(&mut everything);
        let (their_floats, their_ints) = (&mut everything).run(Scalar);
        for (i, (ours, theirs)) in floats.iter().zip(&their_floats).enumerate() {
            assert!(same(ours, theirs), "float {i}: {ours:?}, {theirs:?}");
        }
        assert_eq!(ints, their_ints);
    }
}

#[test]
fn lanes_are_the_scalar_ones_whatever_multiplies_bytes() {
    every_method_is_the_scalar_one::<Widening>();
    every_method_is_the_scalar_one::<Dotprod>();
    every_method_is_the_scalar_one::<I8mm>();
}

/// Chains of fused multiply-adds of bf16 values that hover around the smallest normal.
struct Chain([[[f32; 16]; 2]; 16]);

impl Kernel for &mut Chain {
    type Output = [[f32; 16]; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [[f32; 16]; 2] {
        let mut acc = [simd.splat(0.0); 2];
        for [a, b] in &self.0 {
            let (a, b) = (simd.load(a), simd.load(b));
            acc[0] = simd.fma_flushed(a, b, acc[0]);
            acc[1] = simd.add_flushed(acc[1], simd.fma_flushed(b, a, simd.splat(-0.0)));
        }
        let mut out = [[0.0; 16]; 2];
        simd.store(acc[0], &mut out[0]);
        simd.store(acc[1], &mut out[1]);
        out
    }
}

#[test]
fn tiny_results_are_judged_after_rounding() {
    let neon = Neon::<Widening>::detect().unwrap();
    let smallest = f32::MIN_POSITIVE;
    let mut words = Words(2);
    let (mut rounded_up, mut zeros) = (0, 0);
    for _ in 0..20_000 {
        let mut value = |exponent: u32, span: u32| {
            let bits = words.0 as u32;
            let (sign, fraction) = (words.word() & 0x8000_0000, bits & 0x007f_0000);
            f32::from_bits(sign | (exponent + bits % span) << 23 | fraction)
        };
        let mut chain = Chain(std::array::from_fn(|_| {
            [
                std::array::from_fn(|_| value(1, 30)),
                std::array::from_fn(|_| value(100, 30)),
            ]
        }));
        // The smallest normal, then a little less: half a step, or more.
        let less = [2f32.powi(-25), 1.5 * 2f32.powi(-25), 2f32.powi(-24), 1e-30];
        chain.0[0] = [[1.0; 16], [smallest; 16]];
        chain.0[1] = [[-smallest; 16], std::array::from_fn(|lane| less[lane % 4])];
        for len in [2, 3, 16] {
            let mut part = Chain(chain.0);
            part.0[len..].fill([[0.0; 16]; 2]);
            let ours = neon.run_flushed(&mut part);
            let theirs = (&mut part).run(Scalar);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(same(ours, theirs), "{len}: {ours:?}, {theirs:?}");
            }
            rounded_up += ours[0].iter().filter(|x| x.abs() == smallest).count();
            zeros += ours[0].iter().filter(|x| **x == 0.0).count();
        }
    }
    assert!(rounded_up > 1000 && zeros > 1000, "{rounded_up} {zeros}");
}

#[test]
fn flushing_ends_with_the_kernel_and_is_noticed() {
    let tiny = std::hint::black_box(1e-39f32);
    assert!(tiny * 1.0 > 0.0);
    let guard = FlushSubnormals::new();
    assert!(!guard.flushed_a_result());
    let product = std::hint::black_box(1e-30f32) * std::hint::black_box(1e-9f32);
    assert_eq!(std::hint::black_box(product), 0.0);
    assert!(guard.flushed_a_result());
    drop(guard);
    assert!(std::hint::black_box(tiny) * std::hint::black_box(1.0) > 0.0);
}
