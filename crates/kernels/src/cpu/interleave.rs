//! Weights on their first use: copied into the order that products read, a matrix at a time, by all threads.
//!
//! So a start reads nothing in advance, and what no token ever needs is never copied. Of a mapped file, the copied part
//! is let go: there are never two copies in memory.

use super::Cpu;
use super::matmul::Weights;
use super::shared::Shared;
use crate::matrix::Matrix;
use crate::memory::Bytes;
use crate::quant::order::{Interleave, ROWS};
use std::sync::atomic::Ordering::Relaxed;

impl Cpu {
    /// Sees to it that products with `weight` find it interleaved, if there is room. Without it they read the file's
    /// order.
    pub(super) fn interleave(&self, weight: &Matrix) {
        let Some(len) = weight.interleaved_len_to_make() else {
            return;
        };
        let take = |room: u64| room.checked_sub(len as u64);
        if self.room.fetch_update(Relaxed, Relaxed, take).is_err() {
            return;
        }
        let panel_bytes = ROWS * weight.row_bytes();
        let filled = Bytes::filled(len, |bytes| {
            let bytes = Shared::new(bytes);
            self.threads.run(len / panel_bytes, |panel| {
                self.unit.run(Interleave {
                    format: weight.format(),
                    rows: Weights::new(weight, panel * ROWS).lanes(),
                    // SAFETY: each task has a panel of its own.
                    out: unsafe { bytes.slice(panel * panel_bytes, panel_bytes) },
                });
            });
        });
        // Memory that cannot be had is no error: the file's order serves as well, only slower.
        if let Ok(bytes) = filled {
            weight.keep_interleaved(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::quant::Format;

    #[test]
    fn what_finds_no_room_stays_in_the_files_order_and_gives_the_same() {
        let cpu = Cpu::new(None, Some(2)).unwrap();
        let bytes = |seed: usize| {
            (0..34 * 2 * 20)
                .map(|i| (i * seed % 61) as u8)
                .collect::<Vec<u8>>()
        };
        let matrix = |seed| Matrix::new(Format::Q8_0, 20, 64, Bytes::from(bytes(seed))).unwrap();
        let (first, second): (_, Vec<Matrix>) = (matrix(7), vec![matrix(11), matrix(11)]);
        let x = cpu.upload(1, 64, &[0.5; 64]);
        let product = |cpu: &Cpu, weight: &Matrix| {
            let mut out = cpu.rows(1, 20);
            cpu.project(&x, &[weight], &mut [&mut out]);
            cpu.download(&out)
        };
        let size = first.interleaved_len_to_make().unwrap();
        assert_eq!(size, 32 * 68, "rows are filled up to sixteens");
        cpu.interleave_at_most(size as u64 + 1);
        product(&cpu, &first);
        let in_file_order = product(&cpu, &second[0]);
        assert!(first.interleaved().is_some() && second[0].interleaved().is_none());
        cpu.interleave_at_most(u64::MAX);
        let interleaved = product(&cpu, &second[1]);
        assert!(second[1].interleaved().is_some());
        assert_eq!(in_file_order, interleaved);
    }

    #[test]
    fn a_mapped_file_can_still_be_read_after_it_was_let_go() {
        let path = std::env::temp_dir().join(format!("interleave-{}", std::process::id()));
        let contents: Vec<u8> = (0..34 * 2 * 256).map(|i| (i % 61) as u8).collect();
        std::fs::write(&path, &contents).unwrap();
        let weight = Matrix::new(Format::Q8_0, 256, 64, Bytes::map(&path).unwrap()).unwrap();
        let cpu = Cpu::new(None, Some(1)).unwrap();
        cpu.interleave(&weight);
        assert!(weight.interleaved().is_some());
        assert_eq!(weight.bytes(), contents);
        std::fs::remove_file(&path).unwrap();
    }
}
