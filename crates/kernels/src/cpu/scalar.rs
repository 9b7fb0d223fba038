//! Sixteen lanes as arrays: runs anywhere, and is what `--isa scalar` uses. Fused multiply-adds are emulated where the
//! machine has none.

use crate::float::f16_to_f32;
use crate::reference::lanes::tree;
use crate::reference::product;
use crate::simd::Simd;
use std::array::from_fn;

/// Lanes without vector instructions.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each<A: Copy, B: Copy, T>(a: [A; 16], b: [B; 16], f: impl Fn(A, B) -> T) -> [T; 16] {
    from_fn(|i| f(a[i], b[i]))
}

impl Simd for Scalar {
    type F = [f32; 16];
    type I = [i32; 16];
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; 16]
    }
    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::F {
        *x
    }
    #[inline(always)]
    fn store(self, x: Self::F, out: &mut [f32; 16]) {
        *out = x;
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn larger(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn select_less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        tree(x)
    }
    #[inline(always)]
    fn sums(self, x: [Self::F; 16]) -> Self::F {
        x.map(tree)
    }
    #[inline(always)]
    fn fma_flushed(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        from_fn(|i| product::fma_flushed(a[i], b[i], c[i]))
    }
    #[inline(always)]
    fn add_flushed(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, product::add_flushed)
    }
    #[inline(always)]
    fn bits(self, x: Self::F) -> Self::I {
        x.map(|x| x.to_bits() as i32)
    }
    #[inline(always)]
    fn from_bits(self, x: Self::I) -> Self::F {
        x.map(|x| f32::from_bits(x as u32))
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    fn halves(self, x: &[u8; 32]) -> Self::F {
        from_fn(|i| f16_to_f32(u16::from_le_bytes([x[2 * i], x[2 * i + 1]])))
    }
    #[inline(always)]
    fn widen(self, x: &[u16; 16]) -> Self::I {
        x.map(i32::from)
    }
    #[inline(always)]
    fn isplat(self, x: i32) -> Self::I {
        [x; 16]
    }
    #[inline(always)]
    fn iload(self, x: &[i32; 16]) -> Self::I {
        *x
    }
    #[inline(always)]
    fn iload_bytes(self, x: &[u8; 64]) -> Self::I {
        from_fn(|i| i32::from_le_bytes([x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]]))
    }
    #[inline(always)]
    fn istore(self, x: Self::I, out: &mut [i32; 16]) {
        *out = x;
    }
    #[inline(always)]
    fn iadd(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn isub(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn imul(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shl(self, a: Self::I, n: u32) -> Self::I {
        a.map(|a| a << n)
    }
    #[inline(always)]
    fn shr(self, a: Self::I, n: u32) -> Self::I {
        a.map(|a| (a as u32 >> n) as i32)
    }
    #[inline(always)]
    fn sra(self, a: Self::I, n: u32) -> Self::I {
        a.map(|a| a >> n)
    }
    #[inline(always)]
    fn dot8(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I {
        from_fn(|i| {
            let (w, a) = (w[i].to_le_bytes(), a[i].to_le_bytes());
            let product = |c: usize| i32::from(w[c]) * i32::from(a[c] as i8);
            acc[i].wrapping_add(product(0) + product(1) + product(2) + product(3))
        })
    }
    #[inline(always)]
    fn dot7(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I {
        self.dot8(acc, w, a)
    }
    #[inline(always)]
    fn pairs(self, w: Self::I, a: Self::I) -> Self::I {
        from_fn(|i| {
            let (w, a) = (w[i].to_le_bytes(), a[i].to_le_bytes());
            let product = |c: usize| i32::from(w[c]) * i32::from(a[c] as i8);
            (product(0) + product(1)) & 0xffff | (product(2) + product(3)) << 16
        })
    }
    #[inline(always)]
    fn add_halves(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, |a, b| {
            a.wrapping_add(b) & 0xffff | (a >> 16).wrapping_add(b >> 16) << 16
        })
    }
    #[inline(always)]
    fn dot16(self, acc: Self::I, w: Self::I, a: Self::I) -> Self::I {
        from_fn(|i| {
            let low = i32::from(w[i] as i16) * i32::from(a[i] as i16);
            let high = (w[i] >> 16) * (a[i] >> 16);
            acc[i].wrapping_add(low).wrapping_add(high)
        })
    }
    #[inline(always)]
    fn transpose(self, rows: [&[u8; 16]; 16]) -> [Self::I; 4] {
        from_fn(|c| {
            rows.map(|row| {
                i32::from_le_bytes([row[4 * c], row[4 * c + 1], row[4 * c + 2], row[4 * c + 3]])
            })
        })
    }
    #[inline(always)]
    fn prefetch(self, _bytes: &[u8]) {}
}
