//! Whether a model fits a machine, and how fast it can decode there. Arithmetic alone: facts in, verdict out.
//!
//! A token of a mixture of experts reads other experts than the one before, so nearly all weights are used all the time.
//! Mapped weights that do not stay in memory are read from disk again for every token: that is what is refused. Must not
//! know: files, the operating system, terminals.

pub mod forms;
pub mod roof;
pub mod start;
pub mod trial;

use crate::load::bytes;
use crate::machine::Memory;
use kernels::PAGE_SIZE;
use serde::Serialize;
use std::fmt;

/// A context shorter than this is of no use, and a model that has only so much room does not fit.
const LEAST_CONTEXT: usize = 1024;
/// What a step works in, whatever the model: activations, logits, the program itself.
const LEAST_WORK_BYTES: u64 = 64 << 20;
/// Share of the weights that goes with them: page tables, activations as wide as the layers.
const WORK_SHARE: u64 = 50;

/// What a model asks of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes of all weights, mapped or copied.
    pub weights: u64,
    /// Bytes of KV cache a token, all layers together.
    pub kv_per_token: u64,
    /// The longest context it can have.
    pub max_context: usize,
}

/// Whether a model fits with a context of given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict")]
pub enum Fit {
    /// It does.
    #[serde(rename = "fits")]
    Yes,
    /// It does with so many tokens, which are fewer.
    #[serde(rename = "fits_with")]
    UpTo {
        /// The longest context there is room for.
        tokens: usize,
    },
    /// It does not: so many bytes are missing.
    #[serde(rename = "does_not_fit")]
    No {
        /// Bytes more that would have to be free for the shortest context of use.
        missing_bytes: u64,
    },
    /// Nothing is known of this machine's memory.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Need {
    /// Bytes to work in, beside weights and cache.
    pub fn work_bytes(&self) -> u64 {
        LEAST_WORK_BYTES + self.weights / WORK_SHARE
    }

    /// Bytes of a cache for `tokens`.
    pub fn kv_bytes(&self, tokens: usize) -> u64 {
        self.kv_per_token.saturating_mul(tokens as u64)
    }

    /// Bytes in all with a context of `tokens`.
    pub fn bytes(&self, tokens: usize) -> u64 {
        self.weights
            .saturating_add(self.work_bytes())
            .saturating_add(self.kv_bytes(tokens))
    }

    /// Whether it fits into `free` bytes with a context of `tokens`.
    pub fn fit(&self, free: Option<u64>, tokens: usize) -> Fit {
        let Some(free) = free else {
            return Fit::Unknown;
        };
        if self.bytes(tokens) <= free {
            return Fit::Yes;
        }
        let least = LEAST_CONTEXT.min(tokens);
        match self.longest_context(free) {
            longest if longest >= least => Fit::UpTo { tokens: longest },
            _ => Fit::No {
                missing_bytes: self.bytes(least) - free,
            },
        }
    }

    /// The longest context, in whole pages, that fits into `free` bytes beside the weights.
    fn longest_context(&self, free: u64) -> usize {
        let room = free.saturating_sub(self.weights.saturating_add(self.work_bytes()));
        let tokens = room.checked_div(self.kv_per_token).unwrap_or(u64::MAX);
        let tokens = usize::try_from(tokens)
            .unwrap_or(usize::MAX)
            .min(self.max_context);
        tokens / PAGE_SIZE * PAGE_SIZE
    }

    /// Why it may not start with the context that was asked for, else with the shortest one of use; none if it may.
    pub fn refusal(&self, memory: &Memory, asked: Option<usize>) -> Option<Refusal> {
        let tokens = asked.unwrap_or(LEAST_CONTEXT).min(self.max_context);
        let longest = match self.fit(memory.available, tokens) {
            Fit::Yes | Fit::Unknown => return None,
            Fit::UpTo { tokens } => Some(tokens),
            Fit::No { .. } => None,
        };
        Some(Refusal {
            need: *self,
            memory: *memory,
            free: memory.available?,
            tokens,
            longest,
            other_forms: Vec::new(),
        })
    }

    /// Bytes the cache may take when `free` are: half of what is left beside the weights, since other programs need memory
    /// too, or all of it if a context was asked for that takes so many (`asked`). When `forced`, weights are not counted.
    pub fn cache_room(&self, free: u64, asked: Option<u64>, forced: bool) -> u64 {
        let left = free.saturating_sub(self.weights.saturating_add(self.work_bytes()));
        match forced {
            true => asked.unwrap_or_default().max(free / 2),
            false => asked.unwrap_or_default().min(left).max(left / 2),
        }
    }
}

/// Tokens a second that memory allows at most, one sequence at a time and with an empty context: all that a token reads
/// has to come from memory.
pub fn decode_limit(bandwidth: f64, bytes_per_token: u64) -> f64 {
    bandwidth / bytes_per_token.max(1) as f64
}

/// Why a model is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    need: Need,
    memory: Memory,
    free: u64,
    tokens: usize,
    longest: Option<usize>,
    /// Other forms of the same model that fit.
    pub other_forms: Vec<&'static str>,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (need, tokens) = (&self.need, self.tokens);
        write!(
            f,
            "not enough memory: weights {} + KV cache {} for {tokens} tokens + {} to work in = {}, and {} are free",
            bytes(need.weights),
            bytes(need.kv_bytes(tokens)),
            bytes(need.work_bytes()),
            bytes(need.bytes(tokens)),
            bytes(self.free),
        )?;
        if let Some(total) = self.memory.total {
            write!(f, " of {}", bytes(total))?;
        }
        if self.memory.limited {
            write!(f, " that this control group may use")?;
        }
        if self.memory.swap > 0 {
            write!(f, " (swap is not counted)")?;
        }
        writeln!(f, "; weights would be read from disk for every token")?;
        match (self.longest, self.other_forms.as_slice()) {
            (Some(longest), _) => write!(f, "Use --ctx {longest} or less")?,
            (None, []) => write!(
                f,
                "Free {}, or use a smaller quantisation of the model",
                bytes(need.bytes(tokens) - self.free)
            )?,
            (None, forms) => write!(f, "Use a form that fits: {}", forms.join(", "))?,
        }
        write!(
            f,
            " (`tramontane inspect --plan` shows what fits); --force starts it all the same"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// Q4_K_M of Mistral Small 4 with a bf16 cache.
    const LARGE: Need = Need {
        weights: 72_200_000_000,
        kv_per_token: 23_040,
        max_context: 1 << 20,
    };
    /// A model of 135 million parameters.
    const SMALL: Need = Need {
        weights: 98 << 20,
        kv_per_token: 23_040,
        max_context: 8192,
    };

    fn memory(available: Option<u64>) -> Memory {
        Memory {
            available,
            total: Some(128 * GIB),
            ..Memory::default()
        }
    }

    #[test]
    fn what_fits_where() {
        let short = |free: u64, tokens: usize, need: &Need| Fit::No {
            missing_bytes: need.bytes(tokens) - free,
        };
        let cases = [
            (&LARGE, Some(96 * GIB), 262_144, Fit::Yes),
            (
                &LARGE,
                Some(80 * GIB),
                1 << 20,
                Fit::UpTo { tokens: 529_000 },
            ),
            (
                &LARGE,
                Some(70 * GIB),
                262_144,
                Fit::UpTo { tokens: 62_400 },
            ),
            (
                &LARGE,
                Some(64 * GIB),
                262_144,
                short(64 * GIB, 1024, &LARGE),
            ),
            (&LARGE, Some(0), 64, short(0, 64, &LARGE)),
            (&LARGE, None, 262_144, Fit::Unknown),
            (&SMALL, Some(GIB), 8192, Fit::Yes),
            (&SMALL, Some(256 << 20), 8192, Fit::UpTo { tokens: 4160 }),
            (
                &SMALL,
                Some(128 << 20),
                8192,
                short(128 << 20, 1024, &SMALL),
            ),
        ];
        for (need, free, tokens, expected) in cases {
            let fit = need.fit(free, tokens);
            match (fit, expected) {
                (Fit::UpTo { tokens: got }, Fit::UpTo { tokens: about }) => {
                    assert!(got <= tokens && got % PAGE_SIZE == 0, "{got}");
                    assert!(got.abs_diff(about) <= about / 20, "{got}, not {about}");
                }
                _ => assert_eq!(fit, expected, "{need:?} {free:?} {tokens}"),
            }
        }
    }

    /// A context that is said to fit does, and one page more does not.
    #[test]
    fn the_longest_context_is_the_longest() {
        for free in (68..90).map(|gib| gib * GIB) {
            if let Fit::UpTo { tokens } = LARGE.fit(Some(free), 1 << 20) {
                assert_eq!(LARGE.fit(Some(free), tokens), Fit::Yes);
                assert_ne!(LARGE.fit(Some(free), tokens + PAGE_SIZE), Fit::Yes);
            }
        }
    }

    #[test]
    fn a_start_is_refused_with_the_numbers() {
        let refusal = LARGE.refusal(&memory(Some(64 * GIB)), None).unwrap();
        let text = refusal.to_string();
        for number in [
            "67.2 GiB",
            "22.5 MiB",
            "1024 tokens",
            "64.0 GiB are free of 128.0 GiB",
        ] {
            assert!(text.contains(number), "{number} is not in: {text}");
        }
        assert!(
            text.contains("--force") && text.lines().count() == 2,
            "{text}"
        );
        assert!(!text.contains("swap"), "{text}");

        let mut other = refusal;
        other.other_forms = vec!["Q2_K"];
        assert!(
            other.to_string().contains("form that fits: Q2_K"),
            "{other}"
        );
    }

    #[test]
    fn a_context_too_long_is_refused_and_the_longest_named() {
        let refusal = LARGE
            .refusal(&memory(Some(70 * GIB)), Some(262_144))
            .unwrap();
        let Fit::UpTo { tokens } = LARGE.fit(Some(70 * GIB), 262_144) else {
            panic!("there is room for some context");
        };
        assert!(
            refusal
                .to_string()
                .contains(&format!("Use --ctx {tokens} or less")),
            "{refusal}"
        );
        assert_eq!(LARGE.refusal(&memory(Some(70 * GIB)), Some(tokens)), None);
        // Nobody asked: it will be held down.
        assert_eq!(LARGE.refusal(&memory(Some(70 * GIB)), None), None);
    }

    #[test]
    fn limits_and_swap_are_named() {
        let memory = Memory {
            available: Some(GIB),
            total: Some(2 * GIB),
            limited: true,
            swap: 8 * GIB,
        };
        let text = LARGE.refusal(&memory, None).unwrap().to_string();
        assert!(
            text.contains("control group") && text.contains("swap is not counted"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_machine_is_trusted() {
        assert_eq!(LARGE.refusal(&memory(None), Some(1 << 20)), None);
    }

    #[test]
    fn the_cache_leaves_room_for_the_weights() {
        let free = 80 * GIB;
        let left = free - LARGE.weights - LARGE.work_bytes();
        let room = |free, asked, forced| LARGE.cache_room(free, asked, forced);
        assert_eq!(room(free, None, false), left / 2);
        assert_eq!(room(free, Some(GIB), false), left / 2);
        assert_eq!(room(free, Some(left - GIB), false), left - GIB);
        assert_eq!(room(free, Some(left + GIB), false), left);
        assert_eq!(room(GIB, Some(GIB), false), 0);
        assert_eq!(room(GIB, None, true), GIB / 2);
        assert_eq!(room(GIB, Some(GIB), true), GIB);
    }

    #[test]
    fn a_token_is_as_fast_as_its_bytes() {
        assert_eq!(decode_limit(40e9, 4_000_000_000), 10.0);
        assert!(decode_limit(40e9, 0).is_finite());
    }
}
