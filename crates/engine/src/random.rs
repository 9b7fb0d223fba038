//! Randomness as a function, not a stream: the draw of a token depends on its request's seed, its choice's index and its
//! position, and on nothing else.
//!
//! So preemption, batching and speculation cannot change it, and nothing has to be saved to repeat it. It knows nothing
//! of logits.

use std::hash::{BuildHasher, RandomState};

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): ten rounds of two 32-bit
/// multiplications over a counter of four words and a key of two.
fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xd251_1f53;
        let b = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key[0] = key[0].wrapping_add(0x9e37_79b9);
        key[1] = key[1].wrapping_add(0xbb67_ae85);
    }
    counter
}

/// A uniform number in [0, 1) with 53 random bits. The key is the seed; the counter is (position, choice index, 0).
pub(crate) fn uniform(seed: u64, choice_index: u32, position: u64) -> f64 {
    let counter = [position as u32, (position >> 32) as u32, choice_index, 0];
    let words = philox4x32(counter, [seed as u32, (seed >> 32) as u32]);
    let bits = u64::from(words[0]) << 32 | u64::from(words[1]);
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// `0..n` in an order that depends on the seed alone (Fisher and Yates).
pub(crate) fn permutation(n: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..order.len()).rev() {
        let j = (uniform(seed, 0, i as u64) * (i + 1) as f64) as usize;
        order.swap(i, j);
    }
    order
}

/// A seed for a request that names none, from the operating system's randomness (by way of the standard library's
/// hash keys).
pub fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers from the paper's library, Random123.
    #[test]
    fn philox_known_answers() {
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_is_uniform_over_positions_choices_and_seeds() {
        let n = 100_000;
        for draw in [
            |i: u64| uniform(7, 0, i),
            |i: u64| uniform(7, i as u32, 5),
            |i: u64| uniform(i, 0, 5),
        ] {
            let mut bins = [0u32; 20];
            for i in 0..n {
                let u = draw(i);
                assert!((0.0..1.0).contains(&u));
                bins[(u * 20.0) as usize] += 1;
            }
            let expected = n as f64 / 20.0;
            let chi2: f64 = bins
                .iter()
                .map(|&b| (f64::from(b) - expected).powi(2) / expected)
                .sum();
            // 19 degrees of freedom: 43.8 is passed once in a thousand.
            assert!(chi2 < 43.8, "{chi2} {bins:?}");
        }
    }

    #[test]
    fn permutation_holds_every_number_once() {
        for n in [0, 1, 2, 1000] {
            let mut order = permutation(n, 3);
            assert!(n < 1000 || order != (0..n).collect::<Vec<_>>());
            order.sort_unstable();
            assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn fresh_seeds_differ() {
        assert_ne!(fresh_seed(), fresh_seed());
    }
}
