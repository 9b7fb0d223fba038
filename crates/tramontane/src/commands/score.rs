//! `score`: teacher-forced log-probabilities of given token ids, one JSON line in, one out, in order.

use crate::args::ScoreArgs;
use crate::load;
use crate::vision::Eyes;
use anyhow::{Context, Result, bail};
use chat::image;
use chat::message::ImageSource;
use engine::{Engine, EngineConfig, Event, EventStream, GenerateRequest, KvMemory, PromptLogprobs};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};

/// One line of the input.
#[derive(Deserialize)]
struct Line {
    ids: Vec<u32>,
    /// Data URLs.
    #[serde(default)]
    images: Vec<String>,
}

/// One line of the output.
#[derive(Serialize)]
struct Scored {
    /// None first: nothing precedes the first id.
    logprobs: Vec<Option<f64>>,
    last_top: Vec<(u32, f64)>,
}

/// Scores every line of the input.
pub fn run(args: &ScoreArgs) -> Result<()> {
    let loaded = load::model(&args.model)?;
    let eyes = load::tower(&args.model, &loaded)?;
    let cache = load::cache_plan(&args.model, &loaded.transformer, args.batch)?;
    let engine = Engine::start(
        Box::new(loaded.transformer),
        EngineConfig {
            max_batch: args.batch,
            step_tokens: args.step_tokens,
            max_context: Some(cache.max_context),
            kv_memory: KvMemory::Pages(cache.pages),
            ..EngineConfig::default()
        },
    )?;

    let name = args.input.display();
    let input: Box<dyn BufRead> = if args.input.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(
            File::open(&args.input).with_context(|| format!("cannot open {name}"))?,
        ))
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut running: VecDeque<(usize, EventStream)> = VecDeque::new();
    for (index, line) in input.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let request = request(&line, args.top, eyes.as_ref())
            .with_context(|| format!("{name} line {number}"))?;
        // As many lines in flight as run at once, and as many again so that a step never waits for the reader.
        if running.len() >= 2 * args.batch {
            write_next(&mut running, &mut out)?;
        }
        running.push_back((
            number,
            engine
                .submit(request)
                .with_context(|| format!("{name} line {number}"))?,
        ));
    }
    while !running.is_empty() {
        write_next(&mut running, &mut out)?;
    }
    Ok(out.flush()?)
}

fn request(line: &str, top: usize, eyes: Option<&Eyes>) -> Result<GenerateRequest> {
    let line: Line = serde_json::from_str(line).context("expected {\"ids\": [token ids]}")?;
    let embeddings = match eyes {
        _ if line.images.is_empty() => Vec::new(),
        Some(eyes) => eyes.fill(&line.ids, files(line.images)?)?,
        None => {
            bail!("images, but this checkpoint has no vision tower; a .gguf file needs --mmproj")
        }
    };
    Ok(GenerateRequest {
        embeddings,
        ..GenerateRequest::score(line.ids, top)
    })
}

fn files(images: Vec<String>) -> Result<Vec<Vec<u8>>> {
    let sources = images.into_iter().map(ImageSource::Url).enumerate();
    let files = sources.map(|(index, url)| image::file_bytes(&url, &format!("images[{index}]")));
    Ok(files.collect::<Result<_, _>>()?)
}

/// Waits for the oldest line and prints it.
fn write_next(running: &mut VecDeque<(usize, EventStream)>, out: &mut impl Write) -> Result<()> {
    let Some((number, events)) = running.pop_front() else {
        return Ok(());
    };
    let mut scored = None;
    for event in events {
        match event {
            Event::PromptLogprobs(logprobs) => scored = Some(logprobs),
            Event::Failed(what) => bail!("line {number}: {what}"),
            Event::Started { .. } | Event::Token { .. } | Event::Finished { .. } => {}
        }
    }
    let PromptLogprobs { tokens, next_top } =
        scored.with_context(|| format!("line {number}: the engine ended without a result"))?;
    let line = Scored {
        logprobs: tokens
            .iter()
            .map(|token| token.as_ref().map(|t| t.logprob))
            .collect(),
        last_top: next_top,
    };
    serde_json::to_writer(&mut *out, &line)?;
    Ok(writeln!(out)?)
}
