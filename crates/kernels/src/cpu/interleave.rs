//! Weights on their first use: found prepared in the order that products read, or copied into it, a matrix at a time, by
//! all threads.
//!
//! So a start reads nothing in advance, and what no token ever needs is never copied. Of a mapped file, the copied part
//! is let go: there are never two copies in memory.

use super::Cpu;
use super::matmul::Weights;
use super::shared::Shared;
use crate::matrix::Matrix;
use crate::memory::Bytes;
use crate::prepared::{PreparedPart, checksum, panel_bytes};
use crate::quant::order::{Interleave, ROWS};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes of a copy on disk that are made at once.
const WRITTEN_AT_ONCE: usize = 16 << 20;

impl Cpu {
    /// Sees to it that products with `weight` find it interleaved: as it was prepared, or copied if there is room. Without
    /// either they read the file's order.
    pub(super) fn interleave(&self, weight: &Matrix) {
        let Some(len) = weight.interleaved_len_to_make() else {
            return;
        };
        if let Some(prepared) = weight.prepared().filter(|part| self.is_whole(part)) {
            return weight.keep_interleaved(prepared.interleaved);
        }
        let take = |room: u64| room.checked_sub(len as u64);
        if self.room.fetch_update(Relaxed, Relaxed, take).is_err() {
            return;
        }
        weight.fetch();
        let filled = Bytes::filled(len, |bytes| self.interleave_panels(weight, 0, bytes));
        // Memory that cannot be had is no error: the file's order serves as well, only slower.
        if let Ok(bytes) = filled {
            weight.keep_interleaved(bytes);
        }
    }

    /// Whether prepared weights are what was once written; says so once if not.
    fn is_whole(&self, part: &PreparedPart) -> bool {
        part.interleaved.fetch();
        let damaged = AtomicBool::new(false);
        self.threads.run(part.panels(), |panel| {
            if !part.is_whole(panel) {
                damaged.store(true, Relaxed);
            }
        });
        let damaged = damaged.into_inner();
        if damaged {
            (part.on_damage)();
        }
        !damaged
    }

    /// Writes whole panels of `weight`, from panel `first` on, interleaved.
    fn interleave_panels(&self, weight: &Matrix, first: usize, out: &mut [u8]) {
        let panel_bytes = panel_bytes(weight);
        let (panels, out) = (out.len() / panel_bytes, Shared::new(out));
        self.threads.run(panels, |panel| {
            self.unit.run(Interleave {
                format: weight.format(),
                rows: Weights::new(weight, (first + panel) * ROWS).lanes(),
                // SAFETY: each task has a panel of its own.
                out: unsafe { out.slice(panel * panel_bytes, panel_bytes) },
            });
        });
    }

    /// The interleaved rows of `weight`, some at a time, for a copy on disk ([`crate::Prepared`]): calls `write` with each
    /// run of bytes, and returns the checksums. Holds 16 MiB or one panel.
    ///
    /// Errors: those of `write`.
    pub fn write_interleaved<E>(
        &self,
        weight: &Matrix,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let panel_bytes = panel_bytes(weight);
        let panels = weight.rows().div_ceil(ROWS);
        let at_once = (WRITTEN_AT_ONCE / panel_bytes.max(1)).clamp(1, panels.max(1));
        let mut buffer = vec![0; at_once * panel_bytes];
        let mut checksums = vec![0; 4 * panels];
        for first in (0..panels).step_by(at_once) {
            let panels = first..panels.min(first + at_once);
            let bytes = &mut buffer[..panels.len() * panel_bytes];
            self.interleave_panels(weight, first, bytes);
            let sums = Shared::new(&mut checksums);
            self.threads.run(panels.len(), |panel| {
                let sum = checksum(&bytes[panel * panel_bytes..][..panel_bytes]);
                // SAFETY: each task has a panel of its own.
                unsafe { sums.slice(4 * (first + panel), 4) }.copy_from_slice(&sum.to_le_bytes());
            });
            write(bytes)?;
        }
        Ok(checksums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::prepared::Prepared;
    use crate::quant::Format;
    use crate::quant::order::LAYOUT_VERSION;
    use std::sync::Arc;

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

    /// Q8_0 rows of 64 values, prepared as a copy on disk would be.
    fn prepared(
        cpu: &Cpu,
        weight: &Matrix,
        spoil: Option<usize>,
        damage: &Arc<AtomicBool>,
    ) -> Matrix {
        let mut written = Vec::new();
        let checksums = cpu
            .write_interleaved(weight, |bytes| {
                written.extend_from_slice(bytes);
                Ok::<(), ()>(())
            })
            .unwrap();
        if let Some(at) = spoil {
            written[at] ^= 1;
        }
        let damage = Arc::clone(damage);
        let prepared = Prepared::new(
            weight.format(),
            weight.rows(),
            weight.cols(),
            Bytes::from(written),
            Bytes::from(checksums),
            Arc::new(move || damage.store(true, Relaxed)),
        );
        let data = Bytes::from(weight.bytes().to_vec()).with_prepared(prepared.unwrap());
        Matrix::new(weight.format(), weight.rows(), weight.cols(), data.unwrap()).unwrap()
    }

    #[test]
    fn what_was_prepared_is_used_whole_or_in_panels_and_needs_no_room() {
        let (cpu, copying) = (
            Cpu::new(None, Some(2)).unwrap(),
            Cpu::new(None, Some(2)).unwrap(),
        );
        cpu.interleave_at_most(0);
        let bytes: Vec<u8> = (0..68 * 72).map(|i| (i * 7 % 61) as u8).collect();
        let weight = Matrix::new(Format::Q8_0, 72, 64, Bytes::from(bytes)).unwrap();
        let damage = Arc::new(AtomicBool::new(false));
        let whole = prepared(&cpu, &weight, None, &damage);
        for (rows, found) in [
            (0..72, true),
            (16..48, true),
            (32..72, true),
            (8..24, false),
            (0..20, false),
        ] {
            let (part, copied) = (
                whole.slice_rows(rows.clone()),
                weight.slice_rows(rows.clone()),
            );
            cpu.interleave(&part);
            copying.interleave(&copied);
            assert_eq!(part.interleaved().is_some(), found, "rows {rows:?}");
            if found {
                assert_eq!(part.interleaved(), copied.interleaved(), "rows {rows:?}");
            }
        }
        assert!(!damage.load(Relaxed));
    }

    #[test]
    fn a_damaged_panel_is_told_and_taken_from_its_source() {
        let cpu = Cpu::new(None, Some(2)).unwrap();
        let bytes: Vec<u8> = (0..68 * 48).map(|i| (i * 5 % 61) as u8).collect();
        let weight = Matrix::new(Format::Q8_0, 48, 64, Bytes::from(bytes)).unwrap();
        let damage = Arc::new(AtomicBool::new(false));
        let spoilt = prepared(&cpu, &weight, Some(68 * 16 + 5), &damage);
        cpu.interleave(&spoilt.slice_rows(0..16));
        assert!(!damage.load(Relaxed), "the first panel is whole");
        cpu.interleave(&spoilt);
        assert!(damage.load(Relaxed));
        cpu.interleave(&weight);
        assert_eq!(spoilt.interleaved(), weight.interleaved());
    }

    /// Copies on disk outlive the program: if this fails, `LAYOUT_VERSION` must go up with the new sums.
    #[test]
    fn the_order_is_that_of_this_layout_version() {
        let cpu = Cpu::new(None, Some(1)).unwrap();
        let sums = Format::ALL
            .into_iter()
            .filter(|format| Prepared::sizes(*format, 16, 512).is_some());
        let sums = sums.map(|format| {
            let len = 16 * format.row_bytes(512).unwrap();
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + i / 251) as u8).collect();
            let weight = Matrix::new(format, 16, 512, Bytes::from(bytes)).unwrap();
            let sums = cpu
                .write_interleaved(&weight, |_| Ok::<(), ()>(()))
                .unwrap();
            (format.name(), u32::from_le_bytes(sums.try_into().unwrap()))
        });
        let sums: Vec<(&str, u32)> = sums.collect();
        assert_eq!((LAYOUT_VERSION, sums.as_slice()), (1, ORDER_1.as_slice()));
    }

    const ORDER_1: [(&str, u32); 9] = [
        ("BF16", 129544175),
        ("Q8_0", 2989629783),
        ("Q4_0", 3529105507),
        ("Q4_1", 3679538887),
        ("Q5_0", 543022551),
        ("Q5_1", 4258023398),
        ("Q4_K", 492930845),
        ("Q5_K", 1317389394),
        ("Q6_K", 1278406384),
    ];

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
