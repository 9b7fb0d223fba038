//! What this machine's threads can do at most, measured and not assumed: bytes they read from memory together, the roof
//! over decoding, and multiply-accumulates whose operands are at hand, the roof over prefill.
//!
//! A probe is many short passes, and the best of them is the roof: a neighbour on the machine can only take away. The
//! others say how much it did. Knows no model.

use super::Cpu;
#[cfg(target_arch = "x86_64")]
use super::isa::Unit;
#[cfg(any(test, target_arch = "x86_64"))]
use super::operand::QuantizedBlock;
#[cfg(any(test, target_arch = "x86_64"))]
use super::tile_unit::{Dots, PANEL_ROWS, Planes, ReadyUnit, STEP_WORDS, TileUnit};
use crate::memory::Bytes;
use crate::quant::Format;
#[cfg(any(test, target_arch = "x86_64"))]
use crate::quant::tile::TILE_VALUES;
use crate::simd::{Kernel, Simd};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Several times the last-level cache of the machines we know; given back at the end.
const BUFFER_BYTES: usize = 128 << 20;
const TASK_BYTES: usize = 1 << 20;
const BANDWIDTH_LENGTH: Duration = Duration::from_millis(300);

/// Registers of weights that a pass of products goes over, again and again: 4 KiB, in the nearest cache.
const WEIGHTS: usize = 64;
const ROUNDS: usize = 200;
const TASKS_PER_THREAD: usize = 8;
const PRODUCTS_LENGTH: Duration = Duration::from_millis(60);

/// What passes of a probe gave, a second: bytes, or multiply-accumulates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// The fastest pass: what the machine can do.
    pub best: f64,
    /// The pass in the middle.
    pub median: f64,
    /// The slowest one.
    pub least: f64,
}

/// What multiplies the weights of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Integer dot products of four bytes a lane: formats with blocks.
    Integer,
    /// Dot products of bf16 pairs, twice a weight since an activation is two bf16: BF16.
    Bf16,
    /// Fused multiply-adds: F32, F16, and attention.
    F32,
}

impl Arithmetic {
    /// All of them.
    pub const ALL: [Arithmetic; 3] = [Arithmetic::Integer, Arithmetic::Bf16, Arithmetic::F32];

    /// That of a format's weights.
    pub fn of(format: Format) -> Arithmetic {
        match format {
            Format::F32 | Format::F16 => Arithmetic::F32,
            Format::Bf16 => Arithmetic::Bf16,
            _ => Arithmetic::Integer,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Integer => "int8",
            Arithmetic::Bf16 => "bf16 (activations in two parts)",
            Arithmetic::F32 => "f32",
        }
    }
}

/// Bytes a second that all threads of `cpu` read from memory together, in huge pages where the system grants them. Takes
/// 128 MiB and 0.3 s.
pub fn probe_bandwidth(cpu: &Cpu) -> Probe {
    let buffer = Bytes::filled(BUFFER_BYTES, |bytes| bytes.fill(1));
    let buffer = buffer.unwrap_or_else(|_| Bytes::from(vec![1; BUFFER_BYTES]));
    let sum = AtomicU64::new(0);
    let probe = passes(BANDWIDTH_LENGTH, || {
        cpu.threads.run(BUFFER_BYTES / TASK_BYTES, |task| {
            let bytes = &buffer.as_slice()[task * TASK_BYTES..][..TASK_BYTES];
            sum.fetch_add(u64::from(cpu.unit.run(Read(bytes))), Relaxed);
        });
        BUFFER_BYTES as f64
    });
    black_box(sum);
    probe
}

/// Multiply-accumulates a second of all threads of `cpu` by the instructions its kernels use, with sums and activations in
/// registers and weights in the nearest cache: nothing is unpacked, scaled or stored. Takes 60 ms.
pub fn probe_dot_rate(cpu: &Cpu, arithmetic: Arithmetic) -> Probe {
    passes(PRODUCTS_LENGTH, || {
        let done = AtomicU64::new(0);
        cpu.threads.run(cpu.threads() * TASKS_PER_THREAD, |_| {
            let products = match (cpu.unit, arithmetic) {
                #[cfg(target_arch = "x86_64")]
                (Unit::Amx(amx), Arithmetic::Integer) => tiles(amx),
                (unit, Arithmetic::Bf16) => unit.run_bf16(&mut Products(arithmetic)),
                (unit, _) => unit.run(&mut Products(arithmetic)),
            };
            done.fetch_add(products, Relaxed);
        });
        done.into_inner() as f64
    })
}

/// Runs `pass`, which returns how much it did, for so long; at least thrice, and once more before that does not count.
fn passes(length: Duration, mut pass: impl FnMut() -> f64) -> Probe {
    pass();
    let begin = Instant::now();
    let mut rates = Vec::new();
    while begin.elapsed() < length || rates.len() < 3 {
        let start = Instant::now();
        let done = pass();
        rates.push(done / start.elapsed().as_secs_f64().max(1e-9));
    }
    rates.sort_by(f64::total_cmp);
    Probe {
        best: rates[rates.len() - 1],
        median: rates[rates.len() / 2],
        least: rates[0],
    }
}

struct Read<'a>(&'a [u8]);

impl Kernel for Read<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u32 {
        let mut sums = [simd.isplat(0); 4];
        for lines in self.0.as_chunks::<64>().0.as_chunks::<4>().0 {
            for (sum, line) in sums.iter_mut().zip(lines) {
                *sum = simd.iadd(*sum, simd.iload_bytes(line));
            }
        }
        let [a, b, c, d] = sums;
        let mut lanes = [0; 16];
        simd.istore(simd.iadd(simd.iadd(a, b), simd.iadd(c, d)), &mut lanes);
        lanes
            .into_iter()
            .fold(0, |sum, lane| sum.wrapping_add(lane as u32))
    }
}

/// A task of products; returns how many multiply-accumulates it did.
struct Products(Arithmetic);

impl Kernel for &mut Products {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        match (self.0, S::WIDE) {
            (Arithmetic::Integer, true) => integer::<S, 12>(simd),
            (Arithmetic::Integer, false) => integer::<S, 4>(simd),
            (Arithmetic::Bf16, true) => bf16::<S, 12>(simd),
            (Arithmetic::Bf16, false) => bf16::<S, 4>(simd),
            (Arithmetic::F32, true) => f32::<S, 12>(simd),
            (Arithmetic::F32, false) => f32::<S, 4>(simd),
        }
    }
}

/// `M` sums, so that none waits for itself.
#[inline(always)]
fn integer<S: Simd, const M: usize>(simd: S) -> u64 {
    let weights = [[0x0102_0304; 16]; WEIGHTS];
    let (mut sums, mut x) = ([simd.isplat(0); M], [simd.isplat(0); M]);
    for x in &mut x {
        *x = simd.isplat(black_box(0x0101_0101));
    }
    for _ in 0..ROUNDS {
        let weights = black_box(&weights);
        if S::SUMS_IN_HALVES {
            for run in weights.as_chunks::<8>().0 {
                in_halves(simd, run, &x, &mut sums);
            }
            continue;
        }
        for w in weights {
            let w = simd.iload(w);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.dot7(*sum, w, x);
            }
        }
    }
    let mut out = [0; 16];
    for sum in sums {
        simd.istore(sum, &mut out);
        black_box(&out);
    }
    (64 * ROUNDS * WEIGHTS * M) as u64
}

/// Eight words of weights, summed in halves first.
#[inline(always)]
fn in_halves<S: Simd, const M: usize>(
    simd: S,
    weights: &[[i32; 16]; 8],
    x: &[S::I; M],
    sums: &mut [S::I; M],
) {
    let mut halves = [simd.isplat(0); M];
    for w in weights {
        let w = simd.iload(w);
        for (halves, x) in halves.iter_mut().zip(x) {
            *halves = simd.add_halves(*halves, simd.pairs(w, *x));
        }
    }
    for (sum, halves) in sums.iter_mut().zip(halves) {
        *sum = simd.dot16(*sum, halves, simd.isplat(0x1_0001));
    }
}

/// As [`integer`]; an even and an odd sum stand for an activation's two parts.
#[inline(always)]
fn bf16<S: Simd, const M: usize>(simd: S) -> u64 {
    let weights = [[0x3f80_3f80; 16]; WEIGHTS];
    let (mut sums, mut x) = ([simd.splat(0.0); M], [simd.isplat(0); M]);
    for x in &mut x {
        *x = simd.isplat(black_box(0x3f80_3f80));
    }
    for _ in 0..ROUNDS {
        for w in black_box(&weights) {
            let w = simd.iload(w);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.dot_bf16(*sum, w, x);
            }
        }
    }
    let mut out = [0.0; 16];
    for sum in sums {
        simd.store(sum, &mut out);
        black_box(&out);
    }
    (32 * ROUNDS * WEIGHTS * M / 2) as u64
}

/// Panels on a tile unit as kernels have them for many rows, scales folded into two planes of weights.
#[cfg(any(test, target_arch = "x86_64"))]
fn tiles(unit: impl TileUnit) -> u64 {
    let a = [QuantizedBlock::ZERO; PANEL_ROWS];
    let planes = Planes([[[0; 16]; TILE_VALUES / 4]; 2]);
    let mut dots = [Dots::ZERO; 2];
    // SAFETY: the only one of this thread: no task of a probe runs another.
    let unit = unsafe { unit.ready(PANEL_ROWS, STEP_WORDS) };
    for _ in 0..ROUNDS {
        unit.planes(black_box(&a), black_box(&planes), &mut dots);
        black_box(&dots);
    }
    (ROUNDS * PANEL_ROWS * 16 * TILE_VALUES) as u64
}

#[inline(always)]
fn f32<S: Simd, const M: usize>(simd: S) -> u64 {
    let weights = [[1.0; 16]; WEIGHTS];
    let (mut sums, mut x) = ([simd.splat(0.0); M], [simd.splat(0.0); M]);
    for x in &mut x {
        *x = simd.splat(black_box(1.0));
    }
    for _ in 0..ROUNDS {
        for w in black_box(&weights) {
            let w = simd.load(w);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.fma(w, x, *sum);
            }
        }
    }
    let mut out = [0.0; 16];
    for sum in sums {
        simd.store(sum, &mut out);
        black_box(&out);
    }
    (16 * ROUNDS * WEIGHTS * M) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[test]
    fn passes_are_ordered_and_the_best_counts() {
        let mut done = [1.0, 5.0, 9.0, 7.0].into_iter().cycle();
        let probe = passes(Duration::ZERO, || done.next().unwrap_or(1.0));
        assert!(probe.least <= probe.median && probe.median <= probe.best);
        assert!(probe.least > 0.0 && probe.best.is_finite());
    }

    /// What tile units are credited with: the weights of a panel once, though in two planes.
    #[test]
    fn a_panel_counts_its_weights_once() {
        assert_eq!(tiles(crate::cpu::tile_unit::Exact), 200 * 16 * 16 * 256);
    }

    /// Bytes multiply faster than floats where there are vectors, and every set of lanes can be probed.
    #[test]
    fn every_instruction_set_has_its_rates() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let cpu = Cpu::new(Some(isa), Some(1)).unwrap();
            let [integer, bf16, f32] =
                Arithmetic::ALL.map(|arithmetic| probe_dot_rate(&cpu, arithmetic).best);
            println!("{}: {integer:e}, {bf16:e}, {f32:e}", isa.name());
            assert!(integer > 0.0 && bf16 > 0.0 && f32 > 0.0, "{}", isa.name());
        }
        assert_eq!(Arithmetic::of(Format::Q4K), Arithmetic::Integer);
        assert_eq!(Arithmetic::of(Format::Bf16), Arithmetic::Bf16);
        assert_eq!(Arithmetic::of(Format::F16), Arithmetic::F32);
    }
}
