//! Which sampling a reply gets: what was typed, else the checkpoint's own advice, else the maker's.

use crate::args::{Effort, SamplingArgs};
use crate::load;
use anyhow::Result;
use engine::SamplingParams;
use model::Checkpoint;
use serde::Deserialize;

/// The part of `generation_config.json` that concerns sampling.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Advice {
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
}

/// The maker's temperatures, by effort.
fn maker_temperature(effort: Option<Effort>) -> f32 {
    match effort {
        Some(Effort::High) => 0.7,
        Some(Effort::None) | None => 0.15,
    }
}

/// What the checkpoint advises. A file that does not say whether to sample only lists the library's defaults.
pub fn advice(checkpoint: &Checkpoint) -> Result<Advice> {
    let advice: Advice = match checkpoint.text_files().generation_config {
        None => Advice::default(),
        Some(file) => load::text_json(&file, "settings of a generation")?,
    };
    Ok(advice.believed())
}

impl Advice {
    fn believed(self) -> Self {
        match self.do_sample {
            Some(true) => self,
            Some(false) => Self {
                temperature: Some(0.0),
                ..Self::default()
            },
            None => Self::default(),
        }
    }

    /// The temperature of a reply without thinking.
    pub fn temperature(&self) -> f32 {
        self.temperature.unwrap_or_else(|| maker_temperature(None))
    }

    /// What was asked for, else what is advised, else the maker's.
    pub fn merge(&self, asked: &SamplingArgs, effort: Option<Effort>) -> SamplingParams {
        SamplingParams {
            temperature: asked
                .temperature
                .or(self.temperature)
                .unwrap_or_else(|| maker_temperature(effort)),
            top_k: asked.top_k.or(self.top_k).unwrap_or(0) as usize,
            top_p: asked.top_p.or(self.top_p).unwrap_or(1.0),
            min_p: asked.min_p.or(self.min_p).unwrap_or(0.0),
            seed: asked.seed,
            presence_penalty: asked.presence_penalty,
            frequency_penalty: asked.frequency_penalty,
            repetition_penalty: asked.repetition_penalty,
            ..SamplingParams::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn typed(flags: &[&str]) -> SamplingArgs {
        let all = [&["tramontane", "run", "hi"], flags].concat();
        match Cli::parse_from(all).command {
            Command::Run(args) => args.sampling,
            _ => unreachable!("`run` was typed"),
        }
    }

    #[test]
    fn what_is_typed_wins_over_the_file_and_the_file_over_the_maker() {
        let advice = Advice {
            do_sample: Some(true),
            temperature: Some(0.3),
            top_k: Some(20),
            ..Advice::default()
        };
        let both = advice.merge(&typed(&["--temperature", "1.5"]), None);
        assert_eq!((both.temperature, both.top_k), (1.5, 20));
        assert_eq!(advice.merge(&typed(&[]), None).temperature, 0.3);
        let maker = |effort| Advice::default().merge(&typed(&[]), effort).temperature;
        assert_eq!(maker(Some(Effort::High)), 0.7);
        assert_eq!(maker(None), 0.15);
    }

    #[test]
    fn a_file_that_does_not_sample_gives_no_advice() {
        let advice = Advice {
            temperature: Some(1.0),
            ..Advice::default()
        };
        assert_eq!(advice.believed().merge(&typed(&[]), None).temperature, 0.15);
    }
}
