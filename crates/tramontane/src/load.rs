//! From a command line to a model that is ready to run: backend, checkpoint, weights and cache, said aloud on stderr.

use crate::args::{ModelArgs, SoftmaxScaleArg};
use crate::hub;
use crate::machine;
use crate::plan;
use crate::prepared;
use crate::vision::Eyes;
use crate::words::Words;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kernels::{Bytes, CacheLayout, Cpu, Format, Isa, KvType, PAGE_SIZE};
use model::{
    Checkpoint, Config, LanguageModel, Options, SoftmaxScale, Storage, TextFile, Transformer,
    Vision, VisionCheckpoint, Weights,
};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Read, stderr};
use std::path::Path;
use std::sync::Arc;

/// The name of the model that is part of the program.
pub const BUILT_IN: &str = "mini";

/// A model with its processor.
pub struct Loaded {
    /// What was found on disk.
    pub checkpoint: Checkpoint,
    /// The processor it runs on.
    pub cpu: Arc<Cpu>,
    /// The model, still without cache pages.
    pub transformer: Transformer,
}

/// Opens the checkpoint a command names.
pub fn checkpoint(args: &ModelArgs) -> Result<Checkpoint> {
    let Some(path) = named(args) else {
        return built_in();
    };
    if let Some(found) = hub::resolve(path)? {
        return Ok(model::open(&found.path)?);
    }
    if !path.exists() {
        bail!(
            "there is no file or directory {}\n\
             Give an existing Hugging Face directory or .gguf file, or a hub name that `tramontane pull` has fetched",
            path.display()
        );
    }
    Ok(model::open(path)?)
}

/// The model that was typed; none: the built-in one, which goes by its name too where nothing else does.
pub fn named(args: &ModelArgs) -> Option<&Path> {
    let typed = args.model.as_deref()?;
    (typed != Path::new(BUILT_IN) || typed.exists()).then_some(typed)
}

/// The model that is part of the program.
fn built_in() -> Result<Checkpoint> {
    let weights = Bytes::from_static(mini::WEIGHTS);
    let checkpoint = Checkpoint::from_safetensors(mini::CONFIG, &weights, Path::new(BUILT_IN))?;
    let files = [
        ("tekken.json", mini::TEKKEN),
        ("generation_config.json", mini::GENERATION_CONFIG),
    ];
    let files = files.map(|(name, bytes)| (name, Bytes::from_static(bytes)));
    Ok(checkpoint.with_text_files(files.into()))
}

/// The processor a command asks for. Says so if it asks for more threads than can run at once: they would only wait for
/// each other.
pub fn cpu(args: &ModelArgs) -> Result<Arc<Cpu>> {
    let isa = args.isa.as_deref().map(Isa::from_name).transpose()?;
    let (processors, asked) = (kernels::processors(), args.threads.map(usize::from));
    if let Some(asked) = asked.filter(|asked| *asked > processors && !args.quiet) {
        eprintln!(
            "threads: {asked} asked for, {processors} used, as many as this process has processors"
        );
    }
    let threads = asked.map(|asked| asked.min(processors));
    Ok(Arc::new(Cpu::new(isa, threads)?))
}

/// Loads the model a command names, telling on stderr what runs where.
pub fn model(args: &ModelArgs) -> Result<Loaded> {
    let mut checkpoint = checkpoint(args)?;
    let cpu = cpu(args)?;
    if !args.quiet {
        announce(args, &checkpoint, &cpu);
    }
    if let Some(copy) = prepared::attach(&mut checkpoint).filter(|_| !args.quiet) {
        let (size, path) = (bytes(copy.bytes), copy.path.display());
        eprintln!("weights: prepared copy, {size} at {path}");
    }
    if !plan::start::check(args, &checkpoint)? {
        // Copies could not be dropped and read again, as mapped files can.
        cpu.interleave_at_most(0);
    }
    let weights = weights(&checkpoint, args.quiet)?;
    let options = options(args, &checkpoint);
    if args.verbose {
        for copy in &weights.report.repacked {
            eprintln!(
                "repacked: {} ({}), {} in memory",
                copy.what,
                copy.why,
                bytes(copy.bytes)
            );
        }
    }
    let transformer = Transformer::new(cpu.clone(), checkpoint.config.clone(), weights, options);
    Ok(Loaded {
        checkpoint,
        cpu,
        transformer,
    })
}

/// What the command line chooses of the numbers.
pub fn options(args: &ModelArgs, checkpoint: &Checkpoint) -> Options {
    Options {
        kv_type: kv_type(args, checkpoint),
        softmax_scale: softmax_scale(args),
    }
}

/// The model's vision tower, if it has one: in its directory, or in the file of `--mmproj`.
pub fn eyes(args: &ModelArgs, loaded: &Loaded, words: &Words) -> Result<Option<Eyes>> {
    let Some(eyes) = tower(args, loaded)? else {
        return Ok(None);
    };
    eyes.check_layout(words.image_config())?;
    Ok(Some(eyes))
}

/// As [`eyes`], for a model that runs without a tokenizer.
pub fn tower(args: &ModelArgs, loaded: &Loaded) -> Result<Option<Eyes>> {
    let Some(found) = vision(args, &loaded.checkpoint)? else {
        return Ok(None);
    };
    let vision = Vision::new(loaded.cpu.clone(), found.config.clone(), found.load()?);
    if !args.quiet {
        eprintln!("{}", vision.describe());
        let notes = &found.config.notes;
        notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    Ok(Some(Eyes::new(vision)))
}

/// Opens the vision part of a checkpoint, if there is one.
pub fn vision(args: &ModelArgs, checkpoint: &Checkpoint) -> Result<Option<VisionCheckpoint>> {
    match &args.mmproj {
        None => match pulled_tower(args, checkpoint)? {
            Some(tower) => Ok(Some(tower)),
            None => Ok(checkpoint.vision()?),
        },
        Some(_) if checkpoint.gguf().is_none() => bail!(
            "--mmproj goes with a .gguf file; {} holds its vision tower itself\nLeave the flag out",
            checkpoint.path.display()
        ),
        Some(path) => Ok(Some(model::open_mmproj(path, &checkpoint.config)?)),
    }
}

/// The vision tower that was pulled together with a .gguf file. Nobody asked for it by name: one that cannot be used is
/// left out aloud, and text goes on.
fn pulled_tower(args: &ModelArgs, checkpoint: &Checkpoint) -> Result<Option<VisionCheckpoint>> {
    let found = named(args).map(hub::resolve).transpose()?;
    let Some(path) = found.flatten().and_then(|found| found.mmproj) else {
        return Ok(None);
    };
    match model::open_mmproj(&path, &checkpoint.config) {
        Ok(tower) => Ok(Some(tower)),
        Err(error) => {
            eprintln!("note: no images, the vision tower cannot be used: {error}");
            Ok(None)
        }
    }
}

fn announce(args: &ModelArgs, checkpoint: &Checkpoint, cpu: &Cpu) {
    use kernels::Backend;
    let config = &checkpoint.config;
    let parameters = checkpoint.parameters();
    let built_in = match named(args) {
        None => format!("{BUILT_IN}, which is built in; "),
        Some(_) => String::new(),
    };
    eprintln!(
        "{built_in}{}: {} layers, {} parameters ({} active)",
        config.architecture,
        config.num_layers,
        count(parameters.total),
        count(parameters.active)
    );
    eprintln!("{}", cpu.describe());
    for gpu in machine::graphics_processors() {
        eprintln!("{gpu} is present and not used yet: everything runs on the CPU");
    }
    config
        .notes
        .iter()
        .for_each(|note| eprintln!("note: {note}"));
}

/// Maps the weights, with a progress bar on a terminal.
fn weights(checkpoint: &Checkpoint, quiet: bool) -> Result<Weights> {
    let bar = if quiet || !stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    if let Ok(style) = ProgressStyle::with_template("loading {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    let weights = checkpoint.load(&|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(weights)
}

/// How the cache stores values: as asked, else exactly for an F32 checkpoint and in bf16 for all others.
pub fn kv_type(args: &ModelArgs, checkpoint: &Checkpoint) -> KvType {
    match args.kv_type {
        Some(asked) => asked.into(),
        None if main_format(checkpoint) == Some(Format::F32) => KvType::F32,
        None => KvType::Bf16,
    }
}

/// The format most of a checkpoint's bytes are stored in.
fn main_format(checkpoint: &Checkpoint) -> Option<Format> {
    let bytes_in = |format| -> usize {
        let stored = checkpoint
            .tensors()
            .iter()
            .filter(|t| t.storage == Storage::Known(format));
        stored.map(|tensor| tensor.data.len()).sum()
    };
    Format::ALL
        .into_iter()
        .max_by_key(|&format| bytes_in(format))
}

/// Whose softmax scale was asked for.
fn softmax_scale(args: &ModelArgs) -> SoftmaxScale {
    match args.softmax_scale {
        SoftmaxScaleArg::Vendor => SoftmaxScale::Vendor,
        SoftmaxScaleArg::Transformers => SoftmaxScale::Transformers,
    }
}

/// A KV cache to run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePlan {
    /// Tokens of a prompt and its reply together.
    pub max_context: usize,
    /// Pages for all sequences.
    pub pages: usize,
}

/// The cache for `sequences` at once: the context as asked, else the model's, and both held down to what memory allows.
/// Says so when it holds the context down.
pub fn cache_plan(
    args: &ModelArgs,
    transformer: &Transformer,
    sequences: usize,
) -> Result<CachePlan> {
    let limit = transformer.max_context();
    let asked = args.ctx.unwrap_or(limit);
    if asked == 0 || asked > limit {
        bail!(
            "--ctx {asked}: expected 1 to {limit}, the model's context\nGive a number in that range"
        );
    }
    let wanted = asked.div_ceil(PAGE_SIZE).saturating_mul(sequences);
    let page_bytes = transformer.page_bytes().max(1) as u64;
    let memory = machine::available_memory().unwrap_or(u64::MAX);
    let named = args
        .ctx
        .map(|tokens| tokens.div_ceil(PAGE_SIZE) as u64 * page_bytes);
    let room = plan::start::need_of(transformer).cache_room(memory, named, args.force);
    let fitting = room / page_bytes;
    let pages = wanted.min(usize::try_from(fitting).unwrap_or(usize::MAX));
    let max_context = asked.min(pages * PAGE_SIZE);
    if pages == 0 || (args.ctx.is_some() && max_context < asked) {
        let needed = asked.div_ceil(PAGE_SIZE) as u64 * page_bytes;
        bail!(
            "not enough memory for a KV cache of {asked} tokens: it takes {}, of {} free\n\
             Free some memory, or use a smaller --ctx",
            bytes(needed),
            bytes(memory)
        );
    }
    if max_context < asked && !args.quiet {
        eprintln!(
            "context held down to {max_context} of {asked} tokens: {} of memory are free",
            bytes(memory)
        );
    }
    Ok(CachePlan { max_context, pages })
}

/// Bytes the cache takes a token, all layers together.
pub fn kv_bytes_per_token(config: &Config, kv_type: KvType) -> u64 {
    let layout = CacheLayout {
        num_layers: config.num_layers,
        row_width: config.kv_row_width(),
        kv_type,
    };
    (layout.page_bytes() / PAGE_SIZE) as u64
}

/// A size for people.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A count of parameters for people.
pub fn count(n: u64) -> String {
    match n {
        0..1_000_000 => n.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.2}B", n as f64 / 1e9),
    }
}

/// The bytes of a file, or an error that says which.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A JSON file, or an error that says what was expected in it.
pub fn json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T> {
    serde_json::from_slice(&read(path)?)
        .with_context(|| format!("{}: expected {expected}", path.display()))
}

/// The bytes of a file beside the weights, or an error that says which.
pub fn text(file: &TextFile) -> Result<Cow<'_, [u8]>> {
    let bytes = file.read();
    bytes.with_context(|| format!("cannot read {}", file.path().display()))
}

/// As [`json`], of a file beside the weights.
pub fn text_json<T: DeserializeOwned>(file: &TextFile, expected: &str) -> Result<T> {
    serde_json::from_slice(&text(file)?)
        .with_context(|| format!("{}: expected {expected}", file.path().display()))
}

/// All of stdin, or an error that says what it was to be.
pub fn stdin(what: &str) -> Result<String> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the {what} from stdin"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_short() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(23_040), "22.5 KiB");
        assert_eq!(bytes(67_200_000_000), "62.6 GiB");
        assert_eq!(count(134_515_008), "134.5M");
        assert_eq!(count(118_972_826_624), "118.97B");
    }
}
