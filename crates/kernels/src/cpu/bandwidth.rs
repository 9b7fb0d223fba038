//! How fast this machine's threads read memory together: the roof over decoding, measured and not assumed.

use super::Cpu;
use crate::simd::{Kernel, Simd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Several times the last-level cache of the machines we know; given back at the end.
const BUFFER_BYTES: usize = 128 << 20;
const TASK_BYTES: usize = 1 << 20;
const LENGTH: Duration = Duration::from_millis(300);

/// Bytes a second that all threads of `cpu` read from memory together: the best of the passes that fit 0.3 s.
pub fn measure_bandwidth(cpu: &Cpu) -> f64 {
    let buffer = vec![1u8; BUFFER_BYTES];
    let sum = AtomicU64::new(0);
    let begin = Instant::now();
    let mut best = f64::MAX;
    while begin.elapsed() < LENGTH {
        let pass = Instant::now();
        cpu.threads.run(BUFFER_BYTES / TASK_BYTES, |task| {
            let bytes = &buffer[task * TASK_BYTES..][..TASK_BYTES];
            sum.fetch_add(u64::from(cpu.unit.run(Read(bytes))), Relaxed);
        });
        best = best.min(pass.elapsed().as_secs_f64());
    }
    std::hint::black_box(sum);
    BUFFER_BYTES as f64 / best
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
