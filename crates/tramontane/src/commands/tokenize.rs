//! `tokenize`: text or chat requests to token ids, a JSON line each. Needs the tokenizer alone.

use crate::args::TokenizeArgs;
use crate::load;
use crate::words::Words;
use anyhow::{Context, Result, bail};
use chat::{ChatError, Tekken};
use model::TextFile;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// One line of `--texts`.
#[derive(Deserialize)]
struct Text {
    text: String,
}

/// Prints the ids.
pub fn run(args: &TokenizeArgs) -> Result<()> {
    let words = words(args)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(path) = &args.requests {
        let Words::Mistral(mistral) = &words else {
            bail!(
                "--requests needs a Mistral tokenizer (tekken.json)\nGive a directory that holds one"
            );
        };
        for_lines(path, |line, _| {
            let result = match request(line, mistral.tekken()) {
                Ok(ids) => json!({ "ids": ids }),
                Err(error) => {
                    json!({"error": {"type": error.kind(), "message": error.to_string()}})
                }
            };
            Ok(writeln!(out, "{result}")?)
        })?;
    } else if let Some(path) = &args.texts {
        for_lines(path, |line, number| {
            let Text { text } = serde_json::from_str(line).with_context(|| {
                format!(
                    "{} line {number}: expected {{\"text\": ...}}",
                    path.display()
                )
            })?;
            Ok(writeln!(out, "{}", json!({"ids": words.text(&text)?}))?)
        })?;
    } else {
        let text = match &args.text {
            Some(text) => text.clone(),
            None => load::stdin("text")?,
        };
        writeln!(out, "{}", json!({"ids": words.text(&text)?}))?;
    }
    Ok(out.flush()?)
}

/// The tokenizer of MODEL, which may be a directory that holds nothing but `tekken.json`.
fn words(args: &TokenizeArgs) -> Result<Words> {
    let named = load::named(&args.model);
    if let Some(file) = named.and_then(|model| TextFile::on_disk(model.join("tekken.json"))) {
        return Words::tekken(&file);
    }
    Words::of(&load::checkpoint(&args.model)?)
}

fn request(line: &str, tekken: &Tekken) -> Result<Vec<u32>, ChatError> {
    let conversation = chat::validate(chat::request::parse(line.as_bytes())?, tekken)?;
    Ok(chat::encode(&conversation, tekken)?.ids)
}

/// Calls `take` with every line that is not blank, and its number.
fn for_lines(path: &Path, mut take: impl FnMut(&str, usize) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line =
            line.with_context(|| format!("cannot read {} line {}", path.display(), index + 1))?;
        if !line.trim().is_empty() {
            take(&line, index + 1)?;
        }
    }
    Ok(())
}
