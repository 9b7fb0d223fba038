//! The vocabulary's byte strings and their ranks, and merging a piece's bytes into tokens by rank.
//!
//! Rank = position in the vocabulary; lower ranks merge first. Must not know: special tokens, ids, text.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A piece shorter than this is merged by looking through all its pairs each time; a longer one by a heap. Measured:
/// the plain way wins up to about this length, and its cost grows with the square beyond.
const HEAP_FROM: usize = 96;

/// Marks "no such token" and "no next part".
const NONE: u32 = u32::MAX;

/// The mergeable byte strings, looked up by rank or by bytes.
#[derive(Debug, Clone)]
pub(super) struct Ranks {
    /// All byte strings after one another.
    bytes: Vec<u8>,
    /// Where each rank's bytes end.
    ends: Vec<u32>,
    /// Open addressing: a rank or `NONE`; the length is a power of two, at least twice the number of ranks.
    slots: Vec<u32>,
    longest: usize,
}

impl Ranks {
    /// An empty table for `count` byte strings.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(count),
            slots: vec![NONE; (2 * count).next_power_of_two()],
            longest: 0,
        }
    }

    /// Adds the byte string of the next rank; false if it is there already. The caller adds no more than it announced
    /// and keeps the sum of the lengths under 4 GiB.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let rank = self.ends.len() as u32;
        let mut slot = self.first_slot(bytes);
        while self.slots[slot] != NONE {
            if self.bytes(self.slots[slot]) == bytes {
                return false;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = rank;
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len() as u32);
        self.longest = self.longest.max(bytes.len());
        true
    }

    /// The number of byte strings.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of `rank`, which is under [`Ranks::len`].
    pub(super) fn bytes(&self, rank: u32) -> &[u8] {
        let rank = rank as usize;
        let start = if rank == 0 {
            0
        } else {
            self.ends[rank - 1] as usize
        };
        &self.bytes[start..self.ends[rank] as usize]
    }

    /// The rank of exactly these bytes, or `NONE`.
    fn rank(&self, bytes: &[u8]) -> u32 {
        if bytes.len() > self.longest {
            return NONE;
        }
        let mut slot = self.first_slot(bytes);
        loop {
            let rank = self.slots[slot];
            if rank == NONE || self.bytes(rank) == bytes {
                return rank;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn first_slot(&self, bytes: &[u8]) -> usize {
        hash(bytes) as usize & (self.slots.len() - 1)
    }

    /// Appends the tokens of `piece` to `out`, each as `rank + offset`: the whole piece if it is a token, else bytes
    /// merged pair by pair, lowest rank first and leftmost among equals. The 256 single bytes are in the table.
    pub(super) fn encode(&self, piece: &[u8], offset: u32, out: &mut Vec<u32>) {
        let whole = self.rank(piece);
        if whole != NONE {
            out.push(whole + offset);
        } else if piece.len() < HEAP_FROM {
            self.merge_short(piece, offset, out);
        } else {
            self.merge_long(piece, offset, out);
        }
    }

    /// The rank of `piece[start..end]`, or `NONE` also where the range is empty or beyond the piece.
    fn rank_at(&self, piece: &[u8], start: usize, end: usize) -> u32 {
        if end <= piece.len() {
            self.rank(&piece[start..end])
        } else {
            NONE
        }
    }

    /// Merging on a list of (start, rank of this part joined with the next). Cost: quadratic, with a tiny constant.
    fn merge_short(&self, piece: &[u8], offset: u32, out: &mut Vec<u32>) {
        let mut parts = [(0_usize, NONE); HEAP_FROM + 1];
        let mut count = piece.len();
        for (start, part) in parts[..=count].iter_mut().enumerate() {
            *part = (start, self.rank_at(piece, start, start + 2));
        }
        while let Some((best, &(_, rank))) = parts[..count]
            .iter()
            .enumerate()
            .min_by_key(|(_, part)| part.1)
        {
            if rank == NONE {
                break;
            }
            parts.copy_within(best + 2..=count, best + 1);
            count -= 1;
            let joined_end = |part: usize| {
                if part + 2 <= count {
                    parts[part + 2].0
                } else {
                    usize::MAX
                }
            };
            let after = self.rank_at(piece, parts[best].0, joined_end(best));
            let before =
                (best > 0).then(|| self.rank_at(piece, parts[best - 1].0, joined_end(best - 1)));
            parts[best].1 = after;
            if let Some(before) = before {
                parts[best - 1].1 = before;
            }
        }
        for pair in parts[..=count].windows(2) {
            out.push(self.rank(&piece[pair[0].0..pair[1].0]) + offset);
        }
    }

    /// Merging on a linked list of parts with a heap of (rank, start). Cost: n log n.
    fn merge_long(&self, piece: &[u8], offset: u32, out: &mut Vec<u32>) {
        let length = piece.len();
        // By start: where the part ends, where the part before it starts, and the rank it merges with its next.
        let mut end: Vec<usize> = (1..=length).collect();
        let mut previous: Vec<usize> = (0..length).map(|start| start.wrapping_sub(1)).collect();
        let mut joined: Vec<u32> = (0..length)
            .map(|start| self.rank_at(piece, start, start + 2))
            .collect();
        let mut heap: BinaryHeap<Reverse<(u32, usize)>> = BinaryHeap::with_capacity(length);
        heap.extend(
            joined
                .iter()
                .enumerate()
                .filter(|(_, rank)| **rank != NONE)
                .map(|(start, rank)| Reverse((*rank, start))),
        );
        while let Some(Reverse((rank, start))) = heap.pop() {
            if joined[start] != rank {
                continue;
            }
            let next = end[start];
            end[start] = end[next];
            joined[next] = NONE;
            if end[start] < length {
                previous[end[start]] = start;
            }
            for part in [Some(start), (start > 0).then(|| previous[start])]
                .into_iter()
                .flatten()
            {
                let next = end[part];
                joined[part] = if next < length {
                    self.rank_at(piece, part, end[next])
                } else {
                    NONE
                };
                if joined[part] != NONE {
                    heap.push(Reverse((joined[part], part)));
                }
            }
        }
        let mut start = 0;
        while start < length {
            out.push(self.rank(&piece[start..end[start]]) + offset);
            start = end[start];
        }
    }
}

/// A hash of short byte strings: eight bytes a step, multiplied and folded.
fn hash(bytes: &[u8]) -> u64 {
    // The constants are the fractional bits of pi; any odd numbers with well-mixed bits do.
    let mut state = 0x243f_6a88_85a3_08d3 ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word));
    }
    let mut word = [0; 8];
    word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(state ^ u64::from_le_bytes(word))
}

fn fold(state: u64) -> u64 {
    let product = u128::from(state) * 0x1319_8a2e_0370_7345;
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All bytes, and a few hundred longer strings over a small alphabet in an order without meaning.
    fn table() -> Ranks {
        let mut ranks = Ranks::with_capacity(2048);
        for byte in 0..=255 {
            ranks.push(&[byte]);
        }
        let mut state = 1_u64;
        while ranks.len() < 2048 {
            state = fold(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let length = 2 + (state >> 60) as usize % 7;
            let bytes: Vec<u8> = (0..length)
                .map(|at| b"abc"[(state >> (at * 5)) as usize % 3])
                .collect();
            ranks.push(&bytes);
        }
        ranks
    }

    #[test]
    fn both_ways_of_merging_agree() {
        let ranks = table();
        let mut state = 7_u64;
        for length in 1..HEAP_FROM {
            for _ in 0..20 {
                let piece: Vec<u8> = (0..length)
                    .map(|_| {
                        state = fold(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
                        b"aabc"[(state >> 32) as usize % 4]
                    })
                    .collect();
                let (mut short, mut long) = (Vec::new(), Vec::new());
                ranks.merge_short(&piece, 5, &mut short);
                ranks.merge_long(&piece, 5, &mut long);
                assert_eq!(short, long, "{piece:?}");
                let back: Vec<u8> = short
                    .iter()
                    .flat_map(|id| ranks.bytes(id - 5))
                    .copied()
                    .collect();
                assert_eq!(back, piece);
            }
        }
    }

    #[test]
    fn a_byte_string_is_taken_once() {
        let mut ranks = Ranks::with_capacity(3);
        assert!(ranks.push(b"a") && ranks.push(b"b") && !ranks.push(b"a"));
        assert_eq!(
            (ranks.len(), ranks.rank(b"b"), ranks.rank(b"c")),
            (2, 1, NONE)
        );
    }
}
