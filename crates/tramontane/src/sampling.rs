//! Which sampling a reply gets: what was typed, else the checkpoint's own advice, else the maker's.

use crate::args::{Effort, SamplingArgs};
use crate::load;
use anyhow::Result;
use engine::SamplingParams;
use model::Checkpoint;
use serde::Deserialize;

/// The part of `generation_config.json` that concerns sampling.
#[derive(Debug, Default, Deserialize)]
struct Advice {
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

/// Sampling for a reply.
pub fn params(
    args: &SamplingArgs,
    checkpoint: &Checkpoint,
    effort: Option<Effort>,
) -> Result<SamplingParams> {
    let advice = match checkpoint.text_files().generation_config {
        None => Advice::default(),
        Some(path) => load::json(&path, "settings of a generation")?,
    };
    Ok(merge(args, advice, effort))
}

fn merge(args: &SamplingArgs, advice: Advice, effort: Option<Effort>) -> SamplingParams {
    // A file that does not ask for sampling only lists the library's defaults.
    let advice = if advice.do_sample == Some(true) {
        advice
    } else {
        Advice::default()
    };
    SamplingParams {
        temperature: args
            .temperature
            .or(advice.temperature)
            .unwrap_or_else(|| maker_temperature(effort)),
        top_k: args.top_k.or(advice.top_k).unwrap_or(0) as usize,
        top_p: args.top_p.or(advice.top_p).unwrap_or(1.0),
        min_p: args.min_p.or(advice.min_p).unwrap_or(0.0),
        seed: args.seed,
        presence_penalty: args.presence_penalty,
        frequency_penalty: args.frequency_penalty,
        repetition_penalty: args.repetition_penalty,
        ..SamplingParams::default()
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
        let advice = || Advice {
            do_sample: Some(true),
            temperature: Some(0.3),
            top_k: Some(20),
            ..Advice::default()
        };
        let both = merge(&typed(&["--temperature", "1.5"]), advice(), None);
        assert_eq!((both.temperature, both.top_k), (1.5, 20));
        assert_eq!(merge(&typed(&[]), advice(), None).temperature, 0.3);
        assert_eq!(
            merge(&typed(&[]), Advice::default(), Some(Effort::High)).temperature,
            0.7
        );
        assert_eq!(
            merge(&typed(&[]), Advice::default(), None).temperature,
            0.15
        );
    }

    #[test]
    fn a_file_that_does_not_sample_gives_no_advice() {
        let advice = Advice {
            temperature: Some(1.0),
            ..Advice::default()
        };
        assert_eq!(merge(&typed(&[]), advice, None).temperature, 0.15);
    }
}
