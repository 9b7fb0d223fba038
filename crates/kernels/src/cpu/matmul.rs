//! Products of sixteen weight rows with some rows of activations, for each family of formats.
//!
//! Written once over any lanes. Quantised (`block`) and bf16 products keep a weight row in each lane: a stretch of
//! sixteen rows is unpacked into a tile once and meets every activation row. F32 and F16 (`plain`) keep a `k mod 16` in
//! each lane, as their definition asks. The definition is `reference/product.rs`.

mod bf16;
mod block;
#[cfg(any(test, target_arch = "x86_64"))]
mod panels;
mod plain;

use super::isa::Unit;
use super::operand::Operand;
use crate::matrix::Matrix;
use crate::quant::order::Interleaved;
use crate::quant::tile::Tile;
use crate::quant::{Format, with_block_format};
use crate::simd::Lanes;
use bf16::{Bf16Product, Bf16Tile};
use block::BlockProduct;
#[cfg(target_arch = "x86_64")]
use panels::TileProduct;
use plain::{F16, F32, PlainProduct};
use std::marker::PhantomData;

/// Weight rows of one product.
pub(crate) const GROUP: usize = 16;

/// How far ahead of the bytes at work interleaved weights are asked for. (Measured on one row from memory: without it 49
/// GB/s of Q4_K and 17 of Q6_K, 4 KiB ahead 45 and 32, 16 KiB ahead 70 and 45.)
const AHEAD: usize = 16 << 10;

/// Where weights are unpacked; contents mean nothing between products.
pub(crate) struct Tiles {
    block: Tile,
    bf16: Bf16Tile,
    /// Made for the first product that a tile unit takes part in.
    #[cfg(target_arch = "x86_64")]
    panels: Option<Box<panels::Scratch>>,
}

impl Tiles {
    pub fn new() -> Tiles {
        Tiles {
            block: Tile::new(),
            bf16: Bf16Tile::new(),
            #[cfg(target_arch = "x86_64")]
            panels: None,
        }
    }
}

/// `out[i][lane] = operand.rows[rows[i]] · weight[first_row + lane]`; lanes past the last weight row hold anything.
pub(crate) fn product(
    unit: Unit,
    weight: &Matrix,
    first_row: usize,
    operand: &Operand,
    rows: &[u32],
    tiles: &mut Tiles,
    out: &mut [[f32; GROUP]],
) {
    assert_eq!(rows.len(), out.len(), "product: rows, out");
    if weight.cols() == 0 {
        return out.fill([0.0; GROUP]);
    }
    let weights = Weights::new(weight, first_row);
    match weight.format() {
        Format::F32 => unit.run(PlainProduct {
            weights,
            operand,
            rows,
            out,
            plain: F32,
        }),
        Format::F16 => unit.run(PlainProduct {
            weights,
            operand,
            rows,
            out,
            plain: F16,
        }),
        Format::Bf16 => {
            unit.run_flushed(&mut Bf16Product {
                weights,
                operand,
                rows,
                tile: &mut tiles.bf16,
                out,
            });
        }
        format => with_block_format!(format, T => {
            let (tile, format) = (&mut tiles.block, PhantomData::<T>);
            let product = BlockProduct { weights, operand, rows, tile, out, format };
            match unit {
                #[cfg(target_arch = "x86_64")]
                Unit::Amx(amx) if rows.len() >= panels::least_rows::<T>() => {
                    let new = || Box::new(panels::Scratch::new());
                    let scratch = tiles.panels.get_or_insert_with(new);
                    unit.run(TileProduct { product, unit: amx, scratch });
                }
                _ => unit.run(product),
            }
        }, plain => unreachable!("the arms above")),
    }
}

/// Sixteen rows of a matrix; past its end, the last row again.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    bytes: &'a [u8],
    cols: usize,
    row_bytes: usize,
    num_rows: usize,
    first_row: usize,
    /// The whole matrix interleaved, if it is, from these rows on.
    interleaved: Option<&'a [u8]>,
}

impl<'a> Weights<'a> {
    pub fn new(weight: &'a Matrix, first_row: usize) -> Weights<'a> {
        let row_bytes = weight.row_bytes();
        Weights {
            bytes: weight.bytes(),
            cols: weight.cols(),
            row_bytes,
            num_rows: weight.rows(),
            first_row,
            interleaved: weight
                .interleaved()
                .map(|bytes| &bytes[first_row * row_bytes..]),
        }
    }

    /// Bytes `offset..offset + len` of these rows, which are interleaved, and as many bytes that lie some way ahead in memory.
    #[inline(always)]
    fn interleaved_part(&self, offset: usize, len: usize) -> (Interleaved<'a>, &'a [u8]) {
        let bytes = self.interleaved.unwrap_or(&[]);
        let (first, len) = (offset * GROUP, len * GROUP);
        let ahead = first + AHEAD;
        let ahead = bytes.get(ahead..ahead + len).unwrap_or(&[]);
        (Interleaved(&bytes[first..][..len]), ahead)
    }

    /// Where a row begins.
    #[inline(always)]
    fn start(&self, lane: usize) -> usize {
        (self.first_row + lane).min(self.num_rows - 1) * self.row_bytes
    }

    #[inline(always)]
    fn row(&self, lane: usize) -> &'a [u8] {
        &self.bytes[self.start(lane)..][..self.row_bytes]
    }

    /// [`Weights::lanes`], if these rows are not interleaved.
    #[inline(always)]
    fn lanes_in_file_order(&self) -> Option<Lanes<'a>> {
        match self.interleaved {
            Some(_) => None,
            None => Some(self.lanes()),
        }
    }

    #[inline(always)]
    pub fn lanes(&self) -> Lanes<'a> {
        let mut starts = [0; GROUP];
        for (lane, start) in starts.iter_mut().enumerate() {
            *start = self.start(lane);
        }
        Lanes::new(self.bytes, &starts, self.row_bytes)
    }

    /// The last bytes of each row, from `offset`, padded with zeros.
    #[cold]
    pub fn padded<const N: usize>(&self, offset: usize) -> [[u8; N]; GROUP] {
        let mut padded = [[0u8; N]; GROUP];
        for (lane, padded) in padded.iter_mut().enumerate() {
            let rest = &self.row(lane)[offset..];
            padded[..rest.len()].copy_from_slice(rest);
        }
        padded
    }

    /// What to have ready while bytes `offset..offset + len` of these rows are at work: as many bytes of the rows that
    /// follow, in the order of memory, so that by the next group all of it has been asked for. (1.4x to 2x on weights
    /// that come from memory: sixteen rows at once are more streams than the hardware follows.)
    #[inline(always)]
    fn next_group(&self, offset: usize, len: usize) -> &'a [u8] {
        let first = self.start(GROUP - 1) + self.row_bytes + offset * GROUP;
        self.bytes.get(first..first + len * GROUP).unwrap_or(&[])
    }
}
