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
