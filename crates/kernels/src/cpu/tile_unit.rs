//! What a tile unit computes: exact dot products of up to sixteen rows of activations with sixteen rows of weights.
//!
//! A weight tile's quants lie as the unit wants its right operand: a row of it is four values of each of sixteen weight
//! rows. The unit itself is in `amx.rs`; [`Exact`] says in plain Rust what it must give. Knows no format and no scale.

use super::operand::QuantizedBlock;
use crate::quant::tile::TILE_VALUES;

/// Most activation rows at once.
pub(crate) const PANEL_ROWS: usize = 16;
/// Groups whose dots are computed at once.
pub(crate) const GROUPS: usize = 4;
/// Words of a step along k where a whole tile is summed up: all that fits a unit's register.
pub(crate) const STEP_WORDS: usize = 16;

/// Dot products: of activation row `m` with weight row `n` at `[m][n]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Dots(pub [[i32; 16]; PANEL_ROWS]);

impl Dots {
    pub const ZERO: Dots = Dots([[0; 16]; PANEL_ROWS]);
}

/// As `Tile::quants`: word `c` of weight row `n`, four unsigned bytes, at `[c][n]`.
pub(crate) type Quants = [[i32; 16]; TILE_VALUES / 4];

/// Two sets of quants for the same activations.
#[repr(C, align(64))]
pub(crate) struct Planes(pub [Quants; 2]);

/// A tile unit that this machine has, or what stands for one.
pub(crate) trait TileUnit: Copy {
    type Ready: ReadyUnit;

    /// Makes this thread's unit ready for panels of exactly `rows` activation rows and runs of `words` words of quants,
    /// until what it returns is dropped.
    ///
    /// # Safety
    /// A thread has one ready unit at a time: no other of this thread is alive.
    unsafe fn ready(self, rows: usize, words: usize) -> Self::Ready;
}

/// A thread's unit, ready. `a` below is as many activation blocks as it was made ready for.
pub(crate) trait ReadyUnit {
    /// For four groups from `first` on: `dots[i][m][n] = Σ a[m].quants[4 c + k] · quants[c][n]'s byte k`, over the words
    /// `c` of group `first + i` (as many as it was made ready for) and `k` in `0..4`.
    fn groups(&self, a: &[QuantizedBlock], quants: &Quants, first: usize, dots: &mut [Dots]);

    /// `dots[i]`: the same sum over all words of plane `i`. (Ready for runs of [`STEP_WORDS`].)
    fn planes(&self, a: &[QuantizedBlock], planes: &Planes, dots: &mut [Dots]);
}

/// The definition.
#[derive(Clone, Copy)]
pub(crate) struct Exact;

/// What [`Exact`] was made ready for.
pub(crate) struct ReadyExact {
    rows: usize,
    words: usize,
}

impl TileUnit for Exact {
    type Ready = ReadyExact;

    unsafe fn ready(self, rows: usize, words: usize) -> ReadyExact {
        assert!((1..=PANEL_ROWS).contains(&rows) && (1..=STEP_WORDS).contains(&words));
        ReadyExact { rows, words }
    }
}

impl ReadyUnit for ReadyExact {
    fn groups(&self, a: &[QuantizedBlock], quants: &Quants, first: usize, dots: &mut [Dots]) {
        for (i, dots) in dots[..GROUPS].iter_mut().enumerate() {
            *dots = self.add_step(Dots::ZERO, a, quants, (first + i) * self.words);
        }
    }

    fn planes(&self, a: &[QuantizedBlock], planes: &Planes, dots: &mut [Dots]) {
        for (quants, dots) in planes.0.iter().zip(&mut dots[..2]) {
            let steps = (0..quants.len()).step_by(self.words);
            *dots = steps.fold(Dots::ZERO, |dots, word| {
                self.add_step(dots, a, quants, word)
            });
        }
    }
}

impl ReadyExact {
    /// As Intel's manual describes TDPBSUD: signed bytes of `a` by unsigned bytes of `quants`, four products at a time,
    /// join sums of 32 bits; rows past those it was made ready for stay as they are.
    fn add_step(&self, mut dots: Dots, a: &[QuantizedBlock], quants: &Quants, word: usize) -> Dots {
        assert_eq!(a.len(), self.rows, "rows of a panel");
        for (a, dots) in a.iter().zip(&mut dots.0) {
            let bytes = &a.quants.as_chunks::<4>().0[word..word + self.words];
            for (a, quants) in bytes.iter().zip(&quants[word..word + self.words]) {
                for (dot, quants) in dots.iter_mut().zip(quants) {
                    for (a, quant) in a.iter().zip(quants.to_le_bytes()) {
                        *dot += i32::from(*a as i8) * i32::from(quant);
                    }
                }
            }
        }
        dots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums over k, written the other way round.
    #[test]
    fn dots_are_sums_of_signed_by_unsigned_bytes() {
        let mut a = [QuantizedBlock::ZERO; 3];
        for (m, a) in a.iter_mut().enumerate() {
            for (k, quant) in a.quants.iter_mut().enumerate() {
                *quant = (7 * k * (m + 3)) as u8;
            }
        }
        let mut planes = Planes([[[0; 16]; TILE_VALUES / 4]; 2]);
        let words = planes.0.as_flattened_mut().as_flattened_mut();
        for (i, word) in words.iter_mut().enumerate() {
            *word = [i32::MIN, -1, 0x7f80_ff01][i % 3].wrapping_add(i as i32);
        }
        let sum = |m: usize, n: usize, plane: usize, k: std::ops::Range<usize>| {
            let byte = |k: usize| planes.0[plane][k / 4][n].to_le_bytes()[k % 4];
            k.map(|k| i32::from(a[m].quants[k] as i8) * i32::from(byte(k)))
                .sum::<i32>()
        };
        let mut dots = [Dots::ZERO; GROUPS];
        // SAFETY: nothing but numbers.
        let unit = unsafe { Exact.ready(3, 8) };
        unit.groups(&a, &planes.0[0], 2, &mut dots);
        for (g, m, n) in [(0, 0, 0), (1, 2, 15), (3, 1, 7)] {
            let k = 32 * (2 + g)..32 * (3 + g);
            assert_eq!(dots[g].0[m][n], sum(m, n, 0, k));
        }
        assert_eq!(dots[0].0[3], [0; 16], "rows of no panel");
        // SAFETY: as above.
        let unit = unsafe { Exact.ready(3, STEP_WORDS) };
        unit.planes(&a, &planes, &mut dots);
        for (plane, m, n) in [(0, 0, 3), (1, 2, 15)] {
            assert_eq!(dots[plane].0[m][n], sum(m, n, plane, 0..TILE_VALUES));
        }
    }
}
