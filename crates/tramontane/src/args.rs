//! What can be typed: commands and flags. It says nothing of what they do.

use crate::commands::list::ListArgs;
use crate::commands::prepare::PrepareArgs;
use crate::commands::pull::PullArgs;
use crate::commands::quantize::QuantizeArgs;
use crate::commands::rm::RmArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use kernels::KvType;
use std::path::PathBuf;

/// Runs Mistral Small 4 and its family on this machine.
#[derive(Parser, Debug)]
#[command(
    name = "tramontane",
    version,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Answer a prompt, or chat when none is given.
    #[command(after_help = "Examples:
  tramontane run -m model.gguf 'Why is the sky blue?'
  tramontane run -m model.gguf --system 'Answer in French.' --temperature 0 'Hello'
  git diff | tramontane run -m model.gguf -        (all of stdin is the prompt)
  tramontane run -m model.gguf                     (an interactive chat; /help says more)
  tramontane run -m model.gguf < questions.txt     (a chat, a turn a line)
  tramontane run -m model.gguf --json 'Hello' | jq -r .content")]
    Run(RunArgs),
    /// Serve the model over HTTP, to OpenAI's and Mistral's clients alike.
    #[command(after_help = "Examples:
  tramontane serve -m model.gguf
  tramontane serve -m model.gguf --host 0.0.0.0 --api-key-file keys.txt --max-batch 32
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

GET /openapi.json describes the endpoints. RUST_LOG sets what is logged (RUST_LOG=debug).
SIGTERM or Ctrl-C lets what is running finish; a second one ends it.")]
    Serve(ServeArgs),
    /// Say what a checkpoint is, where each number comes from, what it costs here, and which forms of Mistral Small 4 fit.
    #[command(after_help = "Examples:
  tramontane inspect --plan                        (what this machine can run)
  tramontane inspect --plan --ctx 32768
  tramontane inspect -m model.gguf --tensors")]
    Inspect(InspectArgs),
    /// Turn text or chat requests into the token ids the model sees.
    #[command(after_help = "Examples:
  tramontane tokenize -m model.gguf 'Hello, world!'
  tramontane tokenize -m checkpoint/ --requests requests.jsonl")]
    Tokenize(TokenizeArgs),
    /// Print the log-probability of every token of given sequences.
    #[command(
        after_help = "Each input line is {\"ids\": [1, 2, 3]}; each output line
{\"logprobs\": [null, lp of id 1 given id 0, ...], \"last_top\": [[id, lp], ...]}.

Example: tramontane score -m model.gguf --input ids.jsonl --top 5"
    )]
    Score(ScoreArgs),
    /// Measure tokens a second: prefill (pp) and decode (tg).
    #[command(
        after_help = "Example: tramontane bench -m model.gguf --prompt 128,512 --generate 32 --batch 1,4"
    )]
    Bench(BenchArgs),
    /// Fetch a model from the Hugging Face hub or a mirror of it.
    #[command(after_help = crate::commands::pull::HELP)]
    Pull(PullArgs),
    /// Write a checkpoint as a GGUF file, its weights in a smaller format.
    #[command(after_help = crate::commands::quantize::HELP)]
    Quantize(QuantizeArgs),
    /// Write a model's weights to disk as this program reads them, so that later starts map them.
    #[command(after_help = crate::commands::prepare::HELP)]
    Prepare(PrepareArgs),
    /// List the models that were fetched.
    #[command(after_help = crate::commands::list::HELP)]
    List(ListArgs),
    /// Remove models that were fetched.
    #[command(after_help = crate::commands::rm::HELP)]
    Rm(RmArgs),
    /// Print a script with which a shell completes commands and flags.
    #[command(after_help = crate::commands::completions::HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page for each command into a folder.
    #[command(after_help = crate::commands::man::HELP)]
    Man(ManArgs),
}

/// Which model, and how to run it.
#[derive(Args, Debug, Clone)]
pub struct ModelArgs {
    /// A checkpoint: a Hugging Face directory, a .gguf file (of a split one, the first part), or a hub name that `pull`
    /// has fetched (owner/repo:VARIANT) [default: mini, which is built in]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// The vision tower of a .gguf file (llama.cpp's mmproj file)
    #[arg(long, value_name = "FILE")]
    pub mmproj: Option<PathBuf>,
    /// Threads, at most one a processor [default: physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Context limit in tokens [default: the model's, held down to what memory allows]
    #[arg(long, value_name = "N")]
    pub ctx: Option<usize>,
    /// How keys and values are cached [default: f32 for an F32 checkpoint, else bf16]
    #[arg(long, value_name = "TYPE")]
    pub kv_type: Option<KvTypeArg>,
    /// Instruction set [default: the best here]
    #[arg(long, value_name = "ISA", value_parser = ["scalar", "neon", "neon-dotprod", "neon-i8mm", "avx2", "avx512", "avx512-bf16", "amx"])]
    pub isa: Option<String>,
    /// Whose scale goes on attention scores: the maker's, or that of transformers 5.23 and llama.cpp
    #[arg(long, value_name = "WHOSE", default_value = "vendor")]
    pub softmax_scale: SoftmaxScaleArg,
    /// Start even if the model does not fit into memory; it will then be read from disk for every token
    #[arg(long)]
    pub force: bool,
    /// Say more at start
    #[arg(short, long)]
    pub verbose: bool,
    /// Say nothing but results and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// `--kv-type`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvTypeArg {
    /// 4 bytes a value, exact
    F32,
    /// 2 bytes a value
    Bf16,
    /// 1 byte a value, and 4 for every 32
    Q8,
}

impl From<KvTypeArg> for KvType {
    fn from(arg: KvTypeArg) -> KvType {
        match arg {
            KvTypeArg::F32 => KvType::F32,
            KvTypeArg::Bf16 => KvType::Bf16,
            KvTypeArg::Q8 => KvType::Q8,
        }
    }
}

/// `--softmax-scale`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoftmaxScaleArg {
    /// The maker's, of vLLM and SGLang too
    Vendor,
    /// That of transformers 5.23 and llama.cpp
    Transformers,
}

/// `--effort`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Answer at once
    None,
    /// Think first
    High,
}

/// `run`.
#[derive(Args, Debug, Clone)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// What to ask; `-` reads it from stdin; left out: a chat, interactive on a terminal, else a turn a line of stdin
    pub prompt: Option<String>,
    /// System message
    #[arg(long, value_name = "S")]
    pub system: Option<String>,
    /// An image to ask about: a file, or a data: URL (may be given several times)
    #[arg(long, value_name = "FILE|URL")]
    pub image: Vec<String>,
    /// Whether the model thinks before it answers
    #[arg(long, value_name = "EFFORT")]
    pub effort: Option<Effort>,
    /// Tokens at most [default: what is left of the context]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Stop before this text (may be given several times)
    #[arg(long, value_name = "S")]
    pub stop: Vec<String>,
    /// A JSON file with the tools the model may call (a list, as in a chat request)
    #[arg(long, value_name = "FILE")]
    pub tools: Option<PathBuf>,
    /// A JSON file with a schema that the answer is held to
    #[arg(long, value_name = "FILE")]
    pub json_schema: Option<PathBuf>,
    /// Continue PROMPT as it is: no chat format
    #[arg(long, conflicts_with_all = ["system", "effort", "tools", "json_schema"])]
    pub raw: bool,
    /// Show thinking, dimmed (the default on a terminal; a chat folds it when it is over)
    #[arg(long, conflicts_with = "hide_thinking")]
    pub show_thinking: bool,
    /// Do not show thinking
    #[arg(long)]
    pub hide_thinking: bool,
    /// Print one JSON object a reply: content, reasoning, tool_calls, finish_reason, usage, timings, seed
    #[arg(long, conflicts_with_all = ["show_thinking", "hide_thinking"])]
    pub json: bool,
}

/// How tokens are drawn.
#[derive(Args, Debug, Clone)]
pub struct SamplingArgs {
    /// 0: always the likeliest token [default: the checkpoint's generation_config.json, else 0.7 for effort high, 0.15
    /// for none]
    #[arg(long, value_name = "T", value_parser = temperature)]
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", value_parser = probability)]
    pub top_p: Option<f32>,
    /// Only the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<u32>,
    /// Only tokens at least this likely, relative to the likeliest
    #[arg(long, value_name = "P", value_parser = probability)]
    pub min_p: Option<f32>,
    /// Makes the draws repeatable
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Lowers tokens that already appeared in the reply
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub presence_penalty: f32,
    /// Lowers tokens by how often they appeared in the reply
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub frequency_penalty: f32,
    /// Divides the scores of tokens that appeared in prompt or reply; 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub repetition_penalty: f32,
}

/// `serve`.
#[derive(Args, Debug, Clone)]
pub struct ServeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Address to listen on; 0.0.0.0 is every network this machine is in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub port: u16,
    /// A key that clients must send as `Authorization: Bearer KEY` (may be given several times)
    #[arg(long, value_name = "KEY")]
    pub api_key: Vec<String>,
    /// A file with one such key a line; empty lines and lines that begin with # do not count
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Another name that requests may give as their model (may be given several times)
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub alias: Vec<String>,
    /// Replies computed at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    pub max_batch: usize,
    /// Requests that may wait; more are answered 429
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_queue: usize,
    /// Memory for the KV cache, such as 8GiB [default: a full context for every reply at once, at most half of what is
    /// free]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub kv_memory: Option<usize>,
    /// Fetch images that requests name by http(s) address; never from private networks
    #[arg(long)]
    pub allow_image_urls: bool,
    /// Seconds after which a request is given up
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub deadline: Option<usize>,
    /// Web pages that may use the server from a browser, such as https://example.org [ORIGIN left out: all]
    #[arg(long, value_name = "ORIGIN", num_args = 0.., default_missing_value = "*")]
    pub cors: Vec<String>,
    /// The largest request body
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = size)]
    pub max_body: usize,
    /// Seconds a client may take to send a request, or to take the next part of its reply
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = positive)]
    pub client_timeout: usize,
    /// Connections at once; more have to wait
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = positive)]
    pub max_connections: usize,
    /// Seconds that running replies have to finish when the server is asked to end
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: usize,
    /// How log lines on stderr are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// `--log-format`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `inspect`.
#[derive(Args, Debug, Clone)]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Say which published forms of Mistral Small 4 fit this machine, and how fast they would be; needs no model
    #[arg(long, conflicts_with = "tensors")]
    pub plan: bool,
    /// List every tensor
    #[arg(long)]
    pub tensors: bool,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `tokenize`.
#[derive(Args, Debug, Clone)]
pub struct TokenizeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Text to encode [default: stdin]
    pub text: Option<String>,
    /// A file with one chat request body a line
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["text", "texts"])]
    pub requests: Option<PathBuf>,
    /// A file with one {"text": ...} a line
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "text")]
    pub texts: Option<PathBuf>,
}

/// `score`.
#[derive(Args, Debug, Clone)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// One {"ids": [...]} a line; `-` is stdin
    #[arg(long, value_name = "FILE.jsonl")]
    pub input: PathBuf,
    /// How many of the likeliest next tokens to print
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top: usize,
    /// Lines at once; changes speed, never results
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = positive)]
    pub batch: usize,
    /// Tokens a step at most; changes speed, never results
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = positive)]
    pub step_tokens: usize,
}

/// `bench`.
#[derive(Args, Debug, Clone)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Prompt lengths
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "512", value_parser = positive)]
    pub prompt: Vec<usize>,
    /// Reply lengths
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "32", value_parser = positive)]
    pub generate: Vec<usize>,
    /// Sequences at once, for the reply lengths
    #[arg(long, value_name = "B,...", value_delimiter = ',', default_value = "1", value_parser = positive)]
    pub batch: Vec<usize>,
    /// Tokens already in the cache, for the reply lengths
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "0")]
    pub depth: Vec<usize>,
    /// Runs of each test, after one that does not count
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = positive)]
    pub repeat: usize,
    /// Every sequence and step uses its own random ids, from this seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `completions`.
#[derive(Args, Debug, Clone)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Args, Debug, Clone)]
pub struct ManArgs {
    /// Where to write tramontane.1, tramontane-run.1 and so on [default: the first of them to stdout]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

/// A number of bytes, with a unit or without: `4096`, `512MiB`, `8G`. Units are powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u32); 4] = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim().to_ascii_uppercase();
    let unit = unit.trim_end_matches('B').trim_end_matches('I');
    let shift = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, shift)) => *shift,
        None if unit.is_empty() => 0,
        None => return Err("expected a number of bytes, such as 4096, 512MiB or 8GiB".into()),
    };
    let number: usize = digits.parse().map_err(|e| format!("{e}"))?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("expected a size that this machine can have".into()),
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    in_range(text, 0.0, 100.0)
}

fn probability(text: &str) -> Result<f32, String> {
    in_range(text, 0.0, 1.0)
}

fn in_range(text: &str, low: f32, high: f32) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|e| format!("{e}"))?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("expected {low} to {high}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("4096", 4096),
            ("512MiB", 512 << 20),
            ("8g", 8 << 30),
            ("1 KB", 1024),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MiB", "1.5G", "8X", "99999999999T", "-1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(Cli::try_parse_from(["tramontane", "run", "--top-p", "1.5", "x"]).is_err());
        assert!(Cli::try_parse_from(["tramontane", "bench", "--prompt", "0"]).is_err());
        assert!(Cli::try_parse_from(["tramontane", "bench", "--prompt", "1,2"]).is_ok());
    }
}
