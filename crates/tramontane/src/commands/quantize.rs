//! `quantize`: a checkpoint as a GGUF file, which llama.cpp opens too. What a GGUF holds is in `model`, how a block is
//! quantised in `kernels`.

mod rows;
mod vocabulary;

use crate::args::{KvTypeArg, ModelArgs, SoftmaxScaleArg};
use crate::load;
use crate::output::{self, HiddenFiles, Output};
use crate::words::Words;
use anyhow::{Context, Result, bail};
use chat::Tekken;
use clap::Args;
use clap::builder::PossibleValuesParser;
use kernels::Format;
use model::{Checkpoint, GgufPlan, Mix, Storage, Weights};
use rows::write_plan;
use std::io::{Write, stdout};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Instant;

/// Shown below `--help`.
pub const HELP: &str = "Formats, smaller ones last: f32, bf16, f16, q8_0, q6_k, q5_k_m, q5_k, q5_1, q5_0, q4_k_m, q4_k, q4_1, q4_0.
The _m formats keep the head, the embedding table and some layers' most sensitive matrices in q6_k.

Examples:
  tramontane quantize Mistral-Small-4-119B-2603/ small-4.gguf --format q4_k_m
  tramontane quantize mini mini-q8_0.gguf --format q8_0      (the built-in model)
  tramontane quantize big-bf16.gguf big-q4_k_m.gguf --format q4_k_m

A directory that sees images also gives mmproj-NAME.gguf beside DST. The paths of what was written go to stdout.
Nothing is there before it is whole: it is written under a hidden name, which Ctrl-C removes.";

/// The id of `[IMG_BREAK]` in every Mistral vocabulary that has it.
const IMAGE_BREAK: u32 = 12;

/// `quantize`.
#[derive(Args, Debug, Clone)]
pub struct QuantizeArgs {
    /// A Hugging Face directory, a .gguf file, a hub name that `pull` has fetched, or mini, the built-in model
    pub src: PathBuf,
    /// The file to write
    #[arg(value_name = "DST.gguf")]
    pub dst: PathBuf,
    /// How the weights are stored
    #[arg(long, value_name = "FORMAT", ignore_case = true, value_parser = PossibleValuesParser::new(Mix::ALL.iter().map(|mix| mix.name)), hide_possible_values = true)]
    pub format: String,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Replace DST if it is there
    #[arg(long)]
    pub force: bool,
    /// Say nothing but the paths and errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// Writes a GGUF.
pub fn run(args: &QuantizeArgs) -> Result<()> {
    let Some(mix) = Mix::find(&args.format) else {
        bail!(
            "there is no format {}\nSee tramontane quantize --help",
            args.format
        );
    };
    let start = Instant::now();
    check_target(&args.dst)?;
    let checkpoint = load::checkpoint(&model_args(args))?;
    let source = checkpoint.path.clone();
    let name = stem(&source);
    let weights = checkpoint.load(&|_, _| {})?;
    let tekken = tekken(&checkpoint)?;
    let vocabulary = vocabulary::pairs(&checkpoint, tekken.as_ref())?;
    let text = GgufPlan::text(&checkpoint, &weights, mix, &name, vocabulary.pairs)?;
    let mut plans = vec![(args.dst.clone(), text)];
    if let Some(plan) = vision(&checkpoint, &weights, mix, &name, tekken.as_ref())? {
        plans.push((mmproj_path(&args.dst), plan));
    }
    if !args.quiet {
        vocabulary
            .notes
            .iter()
            .for_each(|note| eprintln!("note: {note}"));
        requantising(&checkpoint, mix)
            .iter()
            .for_each(|note| eprintln!("note: {note}"));
        let notes = plans.iter().flat_map(|(_, plan)| &plan.notes);
        notes.for_each(|note| eprintln!("note: {note}"));
    }
    write(args, &plans)?;
    if !args.quiet {
        let read: u64 = checkpoint
            .tensors()
            .iter()
            .map(|t| t.data.len() as u64)
            .sum();
        let written: u64 = plans.iter().map(|(_, plan)| plan.bytes()).sum();
        eprintln!(
            "{}: {} to {} in {:.1} s",
            mix.name,
            load::bytes(read),
            load::bytes(written),
            start.elapsed().as_secs_f64()
        );
    }
    let mut out = stdout().lock();
    for (path, _) in &plans {
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

/// `SRC` as the other commands take a model.
fn model_args(args: &QuantizeArgs) -> ModelArgs {
    ModelArgs {
        model: Some(args.src.clone()),
        mmproj: None,
        threads: args.threads,
        ctx: None,
        kv_type: None::<KvTypeArg>,
        isa: None,
        softmax_scale: SoftmaxScaleArg::Vendor,
        force: false,
        verbose: false,
        quiet: args.quiet,
    }
}

fn check_target(path: &Path) -> Result<()> {
    let right = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    if !right {
        bail!(
            "DST is {}, which is not named *.gguf\nGive SRC first, then DST.gguf",
            path.display()
        );
    }
    Ok(())
}

/// A model's name: its directory's, or its file's without the ending.
fn stem(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if whole.is_dir() {
        whole.file_name()
    } else {
        whole.file_stem()
    };
    name.map_or_else(
        || "model".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn mmproj_path(dst: &Path) -> PathBuf {
    let name = dst.file_name().unwrap_or_default().to_string_lossy();
    dst.with_file_name(format!("mmproj-{name}"))
}

/// The maker's tokenizer beside a directory's weights. A GGUF keeps the vocabulary it has.
fn tekken(checkpoint: &Checkpoint) -> Result<Option<Tekken>> {
    let files = checkpoint.text_files();
    let Some(file) = files.tekken.filter(|_| checkpoint.gguf().is_none()) else {
        return Ok(None);
    };
    match Words::tekken(&file)? {
        Words::Mistral(mistral) => Ok(Some(mistral.tekken().clone())),
        Words::Other(_) => Ok(None),
    }
}

/// The vision tower's file, if there is a tower.
fn vision(
    checkpoint: &Checkpoint,
    weights: &Weights,
    mix: &Mix,
    name: &str,
    tekken: Option<&Tekken>,
) -> Result<Option<GgufPlan>> {
    let Some(tower) = checkpoint.vision()? else {
        return Ok(None);
    };
    let named = tekken.and_then(|tekken| tekken.special("[IMG_BREAK]"));
    let id = named.unwrap_or(IMAGE_BREAK) as usize;
    if id >= weights.embed.rows() {
        bail!(
            "{}: [IMG_BREAK] is token {id}, of {} that the model has\nIs its tekken.json another model's?",
            checkpoint.path.display(),
            weights.embed.rows()
        );
    }
    let break_row = weights.embed.slice_rows(id..id + 1).to_f32();
    let plan = GgufPlan::vision(&tower.config, &tower.load()?, mix, name, break_row)?;
    Ok(Some(plan))
}

/// What to say of weights that were quantised before.
fn requantising(checkpoint: &Checkpoint, mix: &Mix) -> Option<String> {
    let plain = [Format::F32, Format::F16, Format::Bf16].map(Storage::Known);
    let tensors = checkpoint.tensors().iter();
    let quantised = tensors.filter(|tensor| !plain.contains(&tensor.storage));
    let largest = quantised.max_by_key(|tensor| tensor.data.len())?;
    let before = largest.storage.name();
    (!before.eq_ignore_ascii_case(mix.name)).then(|| {
        format!("the weights were quantised to {before} before: what that lost stays lost; start from BF16 where you can")
    })
}

/// Writes all files, and shows them when the last is whole.
fn write(args: &QuantizeArgs, plans: &[(PathBuf, GgufPlan)]) -> Result<()> {
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => available_parallelism().map_or(1, NonZero::get),
    };
    let total = plans.iter().map(|(_, plan)| plan.bytes()).sum();
    for (path, _) in plans {
        output::check_free(path, args.force)?;
    }
    output::check_room(&args.dst, total)?;
    let bar = output::bar("quantizing", args.quiet, total);
    let hidden = HiddenFiles::default();
    hidden.remove_on_ctrl_c()?;
    let mut outputs = Vec::new();
    for (path, plan) in plans {
        let mut output = Output::create(path, &hidden)?;
        let wrote = write_plan(plan, &mut output, threads, &|bytes| bar.inc(bytes));
        wrote.with_context(|| format!("cannot write {}", path.display()))?;
        outputs.push(output);
    }
    bar.set_message("flushing");
    for output in outputs {
        output.show(args.force)?;
    }
    bar.finish_and_clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_paths() {
        assert_eq!(stem(Path::new("/nowhere/big.gguf")), "big");
        assert_eq!(stem(Path::new("mini")), "mini");
        assert_eq!(
            mmproj_path(Path::new("a/b.gguf")),
            Path::new("a/mmproj-b.gguf")
        );
    }
}
