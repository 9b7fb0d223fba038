//! The planner at start: a checkpoint that would be read from disk for every token is refused, unless forced.

use super::{Need, forms};
use crate::args::ModelArgs;
use crate::load;
use crate::machine;
use anyhow::Result;
use kernels::PAGE_SIZE;
use model::{Checkpoint, LanguageModel, Transformer};
use std::fs;

/// The architecture of Mistral Small 4, and parameters that only the real one has.
const ARCHITECTURE: &str = "mistral4";
const MANY_PARAMETERS: u64 = 100_000_000_000;

/// Makes sure that the checkpoint fits this machine, before anything of it is read. False: it does not, and was started
/// by force.
///
/// # Errors
/// The numbers, and what would fit.
pub fn check(args: &ModelArgs, checkpoint: &Checkpoint) -> Result<bool> {
    let memory = machine::memory();
    let Some(mut refusal) = need(args, checkpoint)?.refusal(&memory, args.ctx) else {
        return Ok(true);
    };
    if args.force {
        if !args.quiet {
            eprintln!(
                "note: this model does not fit into memory, and is started by --force; its weights are read in the order of \
                 the file, which is slower"
            );
        }
        return Ok(false);
    }
    if is_small_4(checkpoint) {
        let tokens = args.ctx.unwrap_or(refusal.tokens);
        let kv_type = load::kv_type(args, checkpoint);
        refusal.other_forms = forms::fitting(memory.available, tokens, kv_type);
    }
    Err(refusal.into())
}

/// What a checkpoint asks of memory, with the vision tower of `--mmproj`.
pub fn need(args: &ModelArgs, checkpoint: &Checkpoint) -> Result<Need> {
    let tensors = checkpoint.tensors().iter();
    let text: u64 = tensors.map(|tensor| tensor.data.len() as u64).sum();
    let tower = args
        .mmproj
        .as_ref()
        .and_then(|path| fs::metadata(path).ok());
    let kv_type = load::kv_type(args, checkpoint);
    Ok(Need {
        weights: text + tower.map_or(0, |file| file.len()),
        kv_per_token: load::kv_bytes_per_token(&checkpoint.config, kv_type),
        max_context: checkpoint.config.max_context,
    })
}

/// What a loaded model asks of memory.
pub fn need_of(transformer: &Transformer) -> Need {
    let weights = transformer.weight_bytes();
    Need {
        weights: weights.every_step + weights.routed_experts + weights.head,
        kv_per_token: (transformer.page_bytes() / PAGE_SIZE) as u64,
        max_context: transformer.max_context(),
    }
}

fn is_small_4(checkpoint: &Checkpoint) -> bool {
    checkpoint.config.architecture == ARCHITECTURE
        && checkpoint.parameters().total >= MANY_PARAMETERS
}
