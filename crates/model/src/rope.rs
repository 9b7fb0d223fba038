//! Rotary embedding: frequencies from the configuration, and a step's cosines, sines and query factors.
//!
//! Frequencies are computed in f32 in the order PyTorch does, so that they equal transformers' bit for bit; everything
//! here is made once a model or once a step, never once a layer.

use crate::config::{QueryScale, RopeConfig, RopeScaling};
use kernels::{Backend, RotaryTable, math};
use std::f64::consts::PI;

/// What positions do to queries and keys.
pub(crate) struct Rope {
    /// Radians a position, for each rotated pair.
    frequencies: Vec<f32>,
    /// Factor on cosines and sines.
    attention_factor: f32,
    query_scale: Option<QueryScale>,
}

impl Rope {
    pub fn new(config: &RopeConfig, query_scale: Option<QueryScale>) -> Rope {
        let (frequencies, attention_factor) = scaled_frequencies(config);
        Rope {
            frequencies,
            attention_factor,
            query_scale,
        }
    }

    /// Cosines and sines for rows at `positions`. The angle is `position * frequency`, rounded to f32 as in transformers.
    pub fn table(&self, backend: &dyn Backend, positions: &[usize]) -> RotaryTable {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for &position in positions {
            for &frequency in &self.frequencies {
                let (s, c) = math::sin_cos(position as f32 * frequency);
                cos.push(c * self.attention_factor);
                sin.push(s * self.attention_factor);
            }
        }
        let (rows, pairs) = (positions.len(), self.frequencies.len());
        RotaryTable {
            cos: backend.upload(rows, pairs, &cos),
            sin: backend.upload(rows, pairs, &sin),
        }
    }

    /// The factor on each row's query, `1 + beta * ln(1 + floor(position / original))`, if the model has one.
    pub fn query_factors(&self, positions: &[usize]) -> Option<Vec<f32>> {
        let scale = self.query_scale?;
        let factor = |&position: &usize| {
            let periods = position / scale.original_max_position_embeddings;
            1.0 + scale.beta * math::ln((1 + periods) as f64) as f32
        };
        Some(positions.iter().map(factor).collect())
    }
}

/// The frequency of each pair, and the factor on cosines and sines.
fn scaled_frequencies(config: &RopeConfig) -> (Vec<f32>, f32) {
    let wavelengths = base_wavelengths(config);
    let plain = wavelengths.iter().map(|w| 1.0 / w);
    match &config.scaling {
        RopeScaling::None => (plain.collect(), 1.0),
        RopeScaling::Linear { factor } => (plain.map(|f| f / factor).collect(), 1.0),
        RopeScaling::FrequencyFactors(factors) => {
            (plain.zip(factors).map(|(f, by)| f / by).collect(), 1.0)
        }
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let original = original_max_position_embeddings as f32;
            let stretch =
                |f: f32| llama3_frequency(f, factor, low_freq_factor, high_freq_factor, original);
            (plain.map(stretch).collect(), 1.0)
        }
        &RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        } => {
            // The lane at which a frequency makes `rotations` turns over the original context.
            let lane = |rotations: f32| {
                let turns =
                    original_max_position_embeddings as f64 / (f64::from(rotations) * 2.0 * PI);
                config.dim as f64 * math::ln(turns) / (2.0 * math::ln(f64::from(config.theta)))
            };
            let (mut low, mut high) = (lane(beta_fast), lane(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            let ramp = Ramp::new(low.max(0.0), high.min(config.dim as f64 - 1.0));
            let blend = |(lane, w): (usize, &f32)| {
                let keep = 1.0 - ramp.at(lane);
                1.0 / (factor * w) * (1.0 - keep) + 1.0 / w * keep
            };
            (
                wavelengths.iter().enumerate().map(blend).collect(),
                attention_factor,
            )
        }
    }
}

/// What divides each pair's frequency: the scaling of `config` as llama.cpp's `rope_freqs.weight` holds it. Made for
/// scalings without a factor on cosines and sines.
pub(crate) fn frequency_divisors(config: &RopeConfig) -> Vec<f32> {
    let (scaled, _) = scaled_frequencies(config);
    let plain = base_wavelengths(config).into_iter().map(|w| 1.0 / w);
    plain.zip(scaled).map(|(plain, f)| plain / f).collect()
}

/// `theta^(2i / dim)`: radians-to-position of each pair, rounded to f32 as PyTorch's power is.
fn base_wavelengths(config: &RopeConfig) -> Vec<f32> {
    let exponent = |i: usize| (2 * i) as f32 / config.dim as f32;
    (0..config.dim / 2)
        .map(|i| math::pow(f64::from(config.theta), f64::from(exponent(i))) as f32)
        .collect()
}

/// Llama 3.1's stretching: transformers' `_compute_llama3_parameters`.
fn llama3_frequency(frequency: f32, factor: f32, low: f32, high: f32, original: f32) -> f32 {
    let wavelength = (2.0 * PI) as f32 / frequency;
    if wavelength > original / low {
        frequency / factor
    } else if wavelength < original / high {
        frequency
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// YaRN's ramp over lanes: 0 up to `low`, 1 from `high`, in f32 as the reference.
struct Ramp {
    low: f32,
    span: f32,
}

impl Ramp {
    fn new(low: f64, high: f64) -> Ramp {
        // The reference widens an empty ramp so that it does not divide by zero.
        let high = if low == high { high + 0.001 } else { high };
        Ramp {
            low: low as f32,
            span: (high - low) as f32,
        }
    }

    fn at(&self, lane: usize) -> f32 {
        ((lane as f32 - self.low) / self.span).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::Pairing;

    fn mistral_small_4() -> RopeConfig {
        RopeConfig {
            theta: 10_000.0,
            dim: 64,
            pairing: Pairing::Interleaved,
            scaling: RopeScaling::Yarn {
                factor: 128.0,
                original_max_position_embeddings: 8192,
                beta_fast: 32.0,
                beta_slow: 1.0,
                attention_factor: 1.0,
                truncate: true,
            },
        }
    }

    #[test]
    fn frequencies_of_mistral_small_4_are_those_of_torch() {
        let (frequencies, factor) = scaled_frequencies(&mistral_small_4());
        assert_eq!(factor, 1.0);
        // transformers 5.23, `_compute_yarn_parameters`, as f32 bits.
        let expected = [
            (0, 0x3f80_0000_u32),
            (1, 0x3f3f_f911),
            (4, 0x3ea1_e89b),
            (8, 0x3dcc_cccd),
            (12, 0x3d01_86e3),
            (13, 0x3cb3_6fb6),
            (15, 0x3c28_756a),
            (18, 0x3b47_c576),
            (21, 0x3a42_a2f3),
            (23, 0x3960_5dcd),
            (24, 0x38b0_716d),
            (25, 0x36c4_948c),
            (28, 0x3625_cb60),
            (31, 0x358b_d472),
        ];
        for (i, bits) in expected {
            assert_eq!(
                frequencies[i].to_bits(),
                bits,
                "pair {i}: {} ",
                frequencies[i]
            );
        }
    }

    #[test]
    fn query_factor_steps_once_a_period() {
        let scale = QueryScale {
            beta: 0.1,
            original_max_position_embeddings: 8192,
        };
        let rope = Rope::new(&mistral_small_4(), Some(scale));
        let factors = rope
            .query_factors(&[0, 8191, 8192, 16384, 262_143, 1_048_575])
            .unwrap();
        let expected = [1.0, 1.0, 1.069_314_7, 1.109_861_2, 1.346_573_6, 1.485_203];
        for (got, want) in factors.iter().zip(expected) {
            assert!((got - want).abs() < 2e-7, "{got} against {want}");
        }
        assert!(
            Rope::new(&mistral_small_4(), None)
                .query_factors(&[5])
                .is_none()
        );
    }

    #[test]
    fn an_empty_ramp_does_not_divide_by_zero() {
        let ramp = Ramp::new(3.0, 3.0);
        assert_eq!((ramp.at(3), ramp.at(4)), (0.0, 1.0));
    }
}
