//! Data for the conformance table: random weights and activations, ordinary and nasty, and the backends to compare.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and benches only; a skip is said where the run counts it"
)]

use kernels::{Backend, Bytes, Cpu, Format, Isa, Matrix, Rows};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Roughly normal.
    pub fn normal(&mut self) -> f32 {
        let sum: f32 = (0..6)
            .map(|_| (self.bits() >> 40) as f32 / 16_777_216.0)
            .sum();
        (sum - 3.0) * 1.4
    }
}

/// Where the f16 factors of a block lie.
const FACTORS: [(Format, &[usize]); 8] = [
    (Format::Q8_0, &[0]),
    (Format::Q4_0, &[0]),
    (Format::Q4_1, &[0, 2]),
    (Format::Q5_0, &[0]),
    (Format::Q5_1, &[0, 2]),
    (Format::Q4K, &[0, 2]),
    (Format::Q5K, &[0, 2]),
    (Format::Q6K, &[208]),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    Ordinary,
    /// Factors of 65504, subnormal, 0 and negative; plain values over the whole range of exponents.
    Extreme,
    /// Every quant at its largest.
    Full,
    /// NaN and infinite factors (or values) here and there.
    NotFinite,
    /// bf16 and f32: products that fall around the smallest normal.
    Tiny,
}

pub const WEIGHTS: [Weights; 5] = [
    Weights::Ordinary,
    Weights::Extreme,
    Weights::Full,
    Weights::NotFinite,
    Weights::Tiny,
];

pub fn weights(
    format: Format,
    rows: usize,
    cols: usize,
    kind: Weights,
    random: &mut Random,
) -> Matrix {
    let mut bytes = vec![0u8; format.row_bytes(cols).unwrap() * rows];
    let factors = FACTORS
        .iter()
        .find(|(f, _)| *f == format)
        .map(|(_, at)| *at);
    match factors {
        Some(factors) => {
            for byte in &mut bytes {
                *byte = if kind == Weights::Full {
                    0xff
                } else {
                    random.bits() as u8
                };
            }
            for block in bytes.chunks_exact_mut(format.block_bytes()) {
                for at in factors {
                    block[*at..at + 2].copy_from_slice(&factor(kind, random).to_le_bytes());
                }
            }
        }
        None => {
            let size = format.block_bytes();
            for value in bytes.chunks_exact_mut(size) {
                let x = plain(format, kind, random);
                match format {
                    Format::F32 => value.copy_from_slice(&x.to_le_bytes()),
                    Format::F16 => value.copy_from_slice(&half::f16::from_f32(x).to_le_bytes()),
                    _ => value.copy_from_slice(&half::bf16::from_f32(x).to_le_bytes()),
                }
            }
        }
    }
    Matrix::new(format, rows, cols, Bytes::from(bytes)).unwrap()
}

fn factor(kind: Weights, random: &mut Random) -> u16 {
    const EXTREME: [u16; 8] = [0x7bff, 0xfbff, 0x0001, 0x83ff, 0, 0x8000, 0x3c00, 0xb800];
    const NOT_FINITE: [u16; 3] = [0x7c00, 0xfc00, 0x7e01];
    match kind {
        Weights::Extreme => EXTREME[random.below(8)],
        Weights::NotFinite if random.below(40) == 0 => NOT_FINITE[random.below(3)],
        _ => half::f16::from_f32(random.normal() * 0.01).to_bits(),
    }
}

fn plain(format: Format, kind: Weights, random: &mut Random) -> f32 {
    const NOT_FINITE: [f32; 3] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    match (kind, format) {
        (Weights::NotFinite, _) if random.below(200) == 0 => NOT_FINITE[random.below(3)],
        (Weights::Extreme, Format::F16) => {
            half::f16::from_bits(random.bits() as u16 & 0xbbff).to_f32()
        }
        (Weights::Extreme, _) => random.normal() * 2f32.powi(random.below(120) as i32 - 60),
        (Weights::Tiny, Format::F16) => random.normal() * 2f32.powi(-20),
        (Weights::Tiny, _) => random.normal() * 2f32.powi(-64 - random.below(63) as i32),
        _ => random.normal() * 0.05,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activations {
    Ordinary,
    /// 1e4 beside 1e-6.
    Mixed,
    /// All of one row alike; some rows zero.
    Constant,
    /// A NaN or an infinity in every other row.
    NotFinite,
    /// Around 2⁻⁶⁴.
    Tiny,
}

pub const ACTIVATIONS: [Activations; 5] = [
    Activations::Ordinary,
    Activations::Mixed,
    Activations::Constant,
    Activations::NotFinite,
    Activations::Tiny,
];

pub fn activations(rows: usize, cols: usize, kind: Activations, random: &mut Random) -> Vec<f32> {
    let mut x = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        let constant = if r % 3 == 2 { 0.0 } else { random.normal() };
        for _ in 0..cols {
            x.push(match kind {
                Activations::Ordinary | Activations::NotFinite => random.normal(),
                Activations::Mixed => random.normal() * [1e4, 1e-6, 1.0][random.below(3)],
                Activations::Constant => constant,
                Activations::Tiny => random.normal() * 2f32.powi(-60 - random.below(10) as i32),
            });
        }
        if kind == Activations::NotFinite && r % 2 == 1 {
            let at = r * cols + random.below(cols);
            x[at] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][random.below(3)];
        }
    }
    x
}

/// A backend to compare with the reference, and its name.
pub struct Candidate {
    pub name: String,
    pub cpu: Cpu,
}

/// Every instruction set of this machine with 1, 2 and 3 threads. Says what is left out.
pub fn candidates() -> Vec<Candidate> {
    let mut all = Vec::new();
    for isa in Isa::ALL {
        if !isa.is_available() {
            println!("skipped: {} (this machine does not have it)", isa.name());
            continue;
        }
        for threads in [1, 2, 3] {
            let cpu = Cpu::new(Some(isa), Some(threads)).unwrap();
            let name = format!("{}, {threads} threads", isa.name());
            all.push(Candidate { name, cpu });
        }
        let cpu = Cpu::new(Some(isa), Some(2)).unwrap();
        cpu.interleave_at_most(0);
        let name = format!("{}, weights in the file's order", isa.name());
        all.push(Candidate { name, cpu });
    }
    all
}

/// The same weights as nobody has used them yet.
pub fn unused(w: &Matrix) -> Matrix {
    w.slice_rows(0..w.rows())
}

/// Panics unless `x` and `y` are the same bits; all NaN are one.
pub fn assert_same(x: &[f32], y: &[f32], what: &str) {
    assert_eq!(x.len(), y.len(), "{what}");
    for (i, (x, y)) in x.iter().zip(y).enumerate() {
        assert!(
            x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()),
            "{what}: value {i} is {x:?} ({:#x}), the reference has {y:?} ({:#x})",
            x.to_bits(),
            y.to_bits()
        );
    }
}

/// Random activations on `backend`.
pub fn random_rows(backend: &dyn Backend, rows: usize, cols: usize, random: &mut Random) -> Rows {
    backend.upload(
        rows,
        cols,
        &activations(rows, cols, Activations::Ordinary, random),
    )
}
