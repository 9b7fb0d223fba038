//! What must hold of a configuration whatever file it came from.

use super::{AttentionConfig, Config, FeedForwardConfig, RopeScaling};
use crate::ModelError;
use std::path::Path;

/// Most layers a file may claim; real models have at most a few hundred.
const MOST_LAYERS: usize = 4096;
/// Most parameters a file may claim: a thousand times the largest models.
const MOST_PARAMETERS: u128 = 1 << 50;
/// Most experts a file may claim; real models have at most a few hundred.
const MOST_EXPERTS: usize = 1 << 16;

impl Config {
    /// Checks every relation between the numbers. `path` is the file they came from.
    ///
    /// Errors: the first relation that does not hold, with the numbers.
    pub(crate) fn check(self, path: &Path) -> Result<Config, ModelError> {
        match self.complaint() {
            None => Ok(self),
            Some(what) => Err(ModelError::File {
                path: path.to_owned(),
                what,
            }),
        }
    }

    fn complaint(&self) -> Option<String> {
        at_most("num_layers", self.num_layers, MOST_LAYERS)
            .or_else(|| above_zero("rms_norm_eps", self.rms_norm_eps))
            .or_else(|| self.attention_complaint())
            .or_else(|| self.feed_forward.complaint(self.num_layers))
            .or_else(|| self.rope_complaint())
            .or_else(|| {
                self.query_scale
                    .and_then(|s| none_negative("query_scale beta", s.beta))
            })
            .or_else(|| self.size_complaint())
    }

    fn attention_complaint(&self) -> Option<String> {
        match &self.attention {
            AttentionConfig::Mla(mla) => (mla.qk_rope_head_dim != self.rope.dim).then(|| {
                format!(
                    "{} rotated lanes in attention against {} in the rotary embedding",
                    mla.qk_rope_head_dim, self.rope.dim
                )
            }),
            AttentionConfig::Gqa(gqa) => {
                if gqa.num_heads % gqa.num_kv_heads != 0 {
                    return Some(format!(
                        "num_heads {} is not a multiple of num_kv_heads {}",
                        gqa.num_heads, gqa.num_kv_heads
                    ));
                }
                (gqa.head_dim != self.rope.dim).then(|| {
                    format!(
                        "rotating {} of a head's {} lanes is not supported: expected all of them",
                        self.rope.dim, gqa.head_dim
                    )
                })
            }
        }
    }

    fn rope_complaint(&self) -> Option<String> {
        let rope = &self.rope;
        if !rope.dim.is_multiple_of(2) {
            return Some(format!(
                "rotated lanes come in pairs: expected an even number, got {}",
                rope.dim
            ));
        }
        let mut positive = vec![("rope theta", rope.theta)];
        match &rope.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => positive.push(("rope factor", *factor)),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                ..
            } => {
                positive.extend([
                    ("rope factor", *factor),
                    ("low_freq_factor", *low_freq_factor),
                ]);
                if high_freq_factor <= low_freq_factor {
                    return Some(format!(
                        "high_freq_factor {high_freq_factor} must be above low_freq_factor {low_freq_factor}"
                    ));
                }
            }
            RopeScaling::Yarn {
                factor,
                beta_fast,
                beta_slow,
                attention_factor,
                ..
            } => {
                positive.extend([
                    ("rope factor", *factor),
                    ("beta_fast", *beta_fast),
                    ("beta_slow", *beta_slow),
                    ("attention_factor", *attention_factor),
                ]);
                if rope.theta <= 1.0 {
                    return Some(format!("YaRN needs a theta above 1, got {}", rope.theta));
                }
            }
            RopeScaling::FrequencyFactors(factors) => {
                if factors.len() != rope.dim / 2 {
                    return Some(format!(
                        "rope_freqs.weight: expected {} factors (half of {} rotated lanes), got {}",
                        rope.dim / 2,
                        rope.dim,
                        factors.len()
                    ));
                }
                positive.extend(factors.iter().map(|f| ("rope_freqs.weight", *f)));
            }
        }
        positive
            .into_iter()
            .find_map(|(name, value)| above_zero(name, value))
    }

    /// The sum of all matrices bounds every product of sizes that is computed later.
    fn size_complaint(&self) -> Option<String> {
        let total = self.count().total;
        (total > MOST_PARAMETERS).then(|| {
            format!("{total} parameters are absurd: at most {MOST_PARAMETERS} are supported")
        })
    }
}

impl FeedForwardConfig {
    fn complaint(&self, num_layers: usize) -> Option<String> {
        let Some(moe) = &self.moe else {
            return (self.intermediate_size == 0)
                .then(|| "intermediate_size is 0 in a dense model".to_owned());
        };
        if moe.experts_per_token > moe.num_experts {
            return Some(format!(
                "experts_per_token {} is more than num_experts {}",
                moe.experts_per_token, moe.num_experts
            ));
        }
        if moe.first_dense_layers > num_layers {
            return Some(format!(
                "first_dense_layers {} is more than num_layers {num_layers}",
                moe.first_dense_layers
            ));
        }
        if moe.first_dense_layers > 0 && self.intermediate_size == 0 {
            return Some("intermediate_size is 0 and some layers are dense".to_owned());
        }
        at_most("num_experts", moe.num_experts, MOST_EXPERTS)
            .or_else(|| at_most("num_shared_experts", moe.num_shared_experts, MOST_EXPERTS))
            .or_else(|| above_zero("routed_scaling_factor", moe.routed_scaling_factor))
    }
}

fn at_most(name: &str, value: usize, most: usize) -> Option<String> {
    (value > most).then(|| format!("{name} {value} is absurd: at most {most} are supported"))
}

fn above_zero(name: &str, value: f32) -> Option<String> {
    (!(value > 0.0 && value.is_finite()))
        .then(|| format!("{name}: expected a number above zero, got {value}"))
}

fn none_negative(name: &str, value: f32) -> Option<String> {
    (!(value >= 0.0 && value.is_finite()))
        .then(|| format!("{name}: expected zero or more, got {value}"))
}
