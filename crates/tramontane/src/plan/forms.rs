//! The forms Mistral Small 4 is published in, and what each costs: reckoned from the shapes of its matrices and the bytes
//! its formats take, not from file listings, some of which say GB and mean GiB.

use super::Need;
use kernels::KvType;

/// The context its makers recommend.
pub const RECOMMENDED_CONTEXT: usize = 262_144;
/// The longest its configuration allows.
const MAX_CONTEXT: usize = 1 << 20;
/// Numbers a token leaves in the cache of a layer: the latent (kv_lora_rank) and the rotary part of the key.
const CACHE_WIDTH: usize = 256 + 64;

const NUM_LAYERS: u64 = 36;
const EXPERTS_PER_TOKEN: u64 = 4;
const NUM_EXPERTS: u64 = 128;

// Parameters, from config.json: hidden_size 4096, 32 heads, q_lora_rank 1024, kv_lora_rank 256, qk_nope 64, qk_rope 64,
// v_head_dim 128, moe_intermediate_size 2048, vocab_size 131072.
/// q_a, q_b, kv_a, kv_b and output of a layer.
const ATTENTION: u64 =
    1024 * 4096 + 32 * 128 * 1024 + 320 * 4096 + 32 * 192 * 256 + 4096 * 32 * 128;
/// One of gate, up and down of an expert.
const EXPERT_MATRIX: u64 = 2048 * 4096;
/// The router of a layer.
const ROUTER: u64 = 128 * 4096;
/// The embedding table, and the head once more.
const VOCABULARY: u64 = 131_072 * 4096;
/// The vision tower and its projector.
const VISION: u64 = 428_472_320;

/// Bytes that 256 values take in each storage format.
const F32: u64 = 1024;
const BF16: u64 = 512;
const FP8: u64 = 256;
const Q8_0: u64 = 272;
const Q6_K: u64 = 210;
const Q5_K: u64 = 176;
/// Four bits, a scale every 32 and one every 256.
const Q4_K: u64 = 144;
/// Four bits and a scale of 8 every 16.
const NVFP4: u64 = 144;

/// One published form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is called.
    pub name: &'static str,
    /// What it comes as.
    pub files: &'static str,
    /// Whether this version runs it.
    pub runs: bool,
    /// Of attention.
    attention: u64,
    /// Of an expert's gate, up and down.
    experts: [u64; 3],
    /// Of the routers.
    router: u64,
    /// Of the embedding table.
    embedding: u64,
    /// Of the head.
    head: u64,
    /// Whether the vision tower is in the same files. A GGUF has it in a second one.
    holds_vision: bool,
}

/// A GGUF without a mixture of formats.
const fn gguf(name: &'static str, format: u64) -> Form {
    Form {
        name,
        files: "GGUF",
        runs: true,
        attention: format,
        experts: [format; 3],
        router: F32,
        embedding: format,
        head: format,
        holds_vision: false,
    }
}

/// A GGUF whose head, and the down-projections of half of its layers, are Q6_K.
const fn mixed(name: &'static str, format: u64) -> Form {
    Form {
        experts: [format, format, (format + Q6_K) / 2],
        head: Q6_K,
        ..gguf(name, format)
    }
}

/// All forms, the smallest first.
pub const FORMS: [Form; 7] = [
    Form {
        name: "NVFP4",
        files: "safetensors",
        runs: false,
        attention: BF16,
        experts: [NVFP4; 3],
        router: BF16,
        embedding: BF16,
        head: BF16,
        holds_vision: true,
    },
    mixed("Q4_K_M", Q4_K),
    mixed("Q5_K_M", Q5_K),
    gguf("Q6_K", Q6_K),
    Form {
        name: "FP8",
        files: "safetensors",
        runs: false,
        attention: FP8,
        experts: [FP8; 3],
        router: BF16,
        embedding: BF16,
        head: BF16,
        holds_vision: true,
    },
    gguf("Q8_0", Q8_0),
    gguf("BF16", BF16),
];

impl Form {
    /// What it asks of memory, with a cache of this kind.
    pub fn need(&self, kv_type: KvType) -> Need {
        Need {
            weights: self.weight_bytes(),
            kv_per_token: NUM_LAYERS * kv_type.row_bytes(CACHE_WIDTH) as u64,
            max_context: MAX_CONTEXT,
        }
    }

    /// Bytes of all its weights.
    pub fn weight_bytes(&self) -> u64 {
        let vision = match self.holds_vision {
            true => VISION * BF16 / 256,
            false => 0,
        };
        self.layers(NUM_EXPERTS) + VOCABULARY * (self.embedding + self.head) / 256 + vision
    }

    /// Bytes that one decoded token reads, its context aside.
    pub fn bytes_per_token(&self) -> u64 {
        self.layers(EXPERTS_PER_TOKEN) + VOCABULARY * self.head / 256
    }

    /// Bytes of all layers with so many of the routed experts, and the shared one.
    fn layers(&self, num_experts: u64) -> u64 {
        let expert = EXPERT_MATRIX * self.experts.iter().sum::<u64>();
        let layer = ATTENTION * self.attention + ROUTER * self.router + expert * (num_experts + 1);
        NUM_LAYERS * layer / 256
    }
}

/// Names of the forms that run and fit into `free` bytes with a context of `tokens`.
pub fn fitting(free: Option<u64>, tokens: usize, kv_type: KvType) -> Vec<&'static str> {
    let fits = |form: &&Form| form.runs && form.need(kv_type).fit(free, tokens) == super::Fit::Yes;
    FORMS.iter().filter(fits).map(|form| form.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Fit;

    const GB: f64 = 1e9;
    const GIB: f64 = 1_073_741_824.0;

    /// The makers' byte count, and listings of files that others made. Norms and scales of whole matrices are not counted.
    #[test]
    fn sizes_are_those_of_the_published_files() {
        let published = [
            ("Q4_K_M", 67.2 * GIB),
            ("NVFP4", 70_801_959_560.0),
            ("Q6_K", 91.0 * GIB),
            ("FP8", 120.9 * GB),
            ("Q8_0", 117.8 * GIB),
        ];
        for (name, bytes) in published {
            let form = FORMS.iter().find(|form| form.name == name).unwrap();
            let off = form.weight_bytes() as f64 / bytes - 1.0;
            assert!(off.abs() < 0.002, "{name} is off by {:.3} %", off * 100.0);
        }
        assert!(FORMS.is_sorted_by_key(Form::weight_bytes));
    }

    #[test]
    fn a_token_reads_six_billion_parameters() {
        let of = |name: &str| {
            let form = FORMS.iter().find(|form| form.name == name).unwrap();
            (form.bytes_per_token() as f64 / GB * 10.0).round() / 10.0
        };
        assert_eq!((of("BF16"), of("FP8"), of("NVFP4")), (12.2, 6.7, 5.7));
        assert_eq!(of("Q4_K_M"), 3.8);
    }

    #[test]
    fn a_context_costs_what_latents_take() {
        let need = FORMS[0].need(KvType::Bf16);
        assert_eq!(need.kv_per_token, 23_040);
        assert_eq!(need.kv_bytes(RECOMMENDED_CONTEXT), 6_039_797_760);
        assert_eq!(FORMS[0].need(KvType::F32).kv_per_token, 46_080);
        assert_eq!(FORMS[0].need(KvType::Q8).kv_per_token, 12_960);
    }

    /// Machines people have, by what is free on them.
    #[test]
    fn machines_and_forms() {
        let gib = |n: u64| n << 30;
        let verdict = |free: u64, name: &str| {
            let form = FORMS.iter().find(|form| form.name == name).unwrap();
            form.need(KvType::Bf16)
                .fit(Some(gib(free)), RECOMMENDED_CONTEXT)
        };
        assert!(matches!(verdict(22, "Q4_K_M"), Fit::No { .. }));
        assert!(matches!(verdict(60, "Q4_K_M"), Fit::No { .. }));
        assert!(matches!(verdict(72, "Q4_K_M"), Fit::UpTo { .. }));
        assert_eq!(verdict(92, "Q4_K_M"), Fit::Yes);
        assert_eq!(verdict(92, "NVFP4"), Fit::Yes);
        assert!(matches!(verdict(92, "Q6_K"), Fit::No { .. }));
        assert!(matches!(verdict(124, "FP8"), Fit::UpTo { .. } | Fit::Yes));
        assert!(matches!(verdict(124, "BF16"), Fit::No { .. }));
        assert_eq!(verdict(250, "BF16"), Fit::Yes);
        assert_eq!(
            fitting(Some(gib(124)), 4096, KvType::Bf16),
            ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
        );
        assert_eq!(fitting(Some(gib(16)), 4096, KvType::Bf16), [""; 0]);
    }
}
