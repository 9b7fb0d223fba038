//! The forms a repository holds a model in, from its files' names alone: which files belong to each, and which form a
//! user means. The same rules read a hub's listing and a folder of the cache. It opens no file.

use super::HubError;
use crate::load::bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A file, by its path inside the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The path.
    pub path: String,
    /// Its size, where known.
    pub size: Option<u64>,
}

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `config.json` and `*.safetensors`
    HuggingFace,
    /// `params.json` and `consolidated*.safetensors`
    Native,
    /// One `.gguf`, or all parts of a split one
    Gguf,
}

/// One complete way to run the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// How the weights are stored.
    pub kind: Kind,
    /// What a user types after `:`.
    pub label: String,
    /// The quantisation in a GGUF's name; like `label`, except where several files share it.
    quantisation: String,
    /// What to open: a GGUF's first part; none for a directory.
    pub first: Option<String>,
    /// The vision tower that belongs to a GGUF.
    pub mmproj: Option<String>,
    /// Every file it needs, small ones first.
    pub files: Vec<String>,
    /// Parts that its other parts' names speak of and that are not there.
    pub missing: Vec<String>,
    /// All of it, where every size is known.
    pub bytes: Option<u64>,
}

/// Labels of the two forms that are directories, and other words for them.
const DIRECTORY_LABELS: [(Kind, &str, &str); 2] = [
    (Kind::HuggingFace, "safetensors", "hf"),
    (Kind::Native, "native", "consolidated"),
];
/// Files beside safetensors that say how to make, read and configure; `*.jinja` too.
const TEXT_FILES: [&str; 20] = [
    "SYSTEM_PROMPT.txt",
    "added_tokens.json",
    "chat_template.json",
    "config.json",
    "consolidated.safetensors.index.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "params.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "tokenizer.model.v7",
    "tokenizer_config.json",
    "vocab.json",
];
/// Files beside a GGUF that the loader reads.
const GGUF_TEXT_FILES: [&str; 5] = [
    "chat_template.jinja",
    "generation_config.json",
    "tekken.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// Vision towers, best first: the maker trains and publishes in BF16, so that copy lost nothing.
const MMPROJ_ORDER: [&str; 5] = ["BF16", "F16", "FP16", "F32", "Q8_0"];

/// The forms in a repository with these files, directories first, then GGUFs by name.
pub fn forms(files: &[Listed]) -> Vec<Form> {
    let mut forms: Vec<Form> = [hugging_face(files), native(files)]
        .into_iter()
        .flatten()
        .collect();
    forms.extend(ggufs(files));
    let sizes: BTreeMap<&str, Option<u64>> =
        files.iter().map(|f| (f.path.as_str(), f.size)).collect();
    for form in &mut forms {
        let size = |path: &String| sizes.get(path.as_str()).copied().flatten();
        form.files
            .sort_by_key(|path| (size(path).unwrap_or(0), path.clone()));
        form.files.dedup();
        form.bytes = form.files.iter().map(size).sum();
    }
    forms
}

/// The form a user means: the variant that was named; without one the Hugging Face form, else the native one, else the
/// only GGUF.
///
/// Errors: none fits or several do, with what there is.
pub fn choose<'a>(
    forms: &'a [Form],
    variant: Option<&str>,
    repo: &str,
) -> Result<&'a Form, HubError> {
    let fitting = match variant {
        Some(variant) => named(forms, variant),
        None => match forms.iter().find(|form| form.kind != Kind::Gguf) {
            Some(form) => vec![form],
            None => forms.iter().collect(),
        },
    };
    if let [form] = fitting[..] {
        return Ok(form);
    }
    let asked = variant.map_or(String::new(), |v| {
        format!(" that fits `:{}`", super::printable(v))
    });
    let (what, there) = match (forms.is_empty(), fitting.is_empty()) {
        (true, _) => {
            return Err(HubError::Variant {
                what: format!("{repo} holds no model in a form that runs here"),
                advice: "Expected config.json with *.safetensors, params.json with consolidated*.safetensors, or *.gguf"
                    .to_owned(),
            });
        }
        (false, true) => (
            format!("{repo} has no variant{asked}"),
            forms.iter().collect(),
        ),
        (false, false) => (
            format!("{repo} has {} variants{asked}", fitting.len()),
            fitting,
        ),
    };
    Err(HubError::Variant {
        what,
        advice: format!("Name one of these:{}", menu(&there, repo)),
    })
}

fn named<'a>(forms: &'a [Form], variant: &str) -> Vec<&'a Form> {
    let wanted = variant.to_ascii_lowercase();
    let is = |text: &str| text.to_ascii_lowercase() == wanted;
    let ways: [&dyn Fn(&Form) -> bool; 5] = [
        &|form| is(&form.label),
        &|form| is(&form.quantisation),
        &|form| {
            DIRECTORY_LABELS
                .iter()
                .any(|(kind, _, other_word)| *kind == form.kind && is(other_word))
        },
        &|form| {
            form.first.iter().any(|path| {
                is(path) || is(file_name(path)) || is(stem(path)) || is(whole_stem(path))
            })
        },
        &|form| form.quantisation.to_ascii_lowercase().strip_prefix("ud-") == Some(wanted.as_str()),
    ];
    ways.iter()
        .map(|way| forms.iter().filter(|form| way(form)).collect::<Vec<_>>())
        .find(|fitting| !fitting.is_empty())
        .unwrap_or_default()
}

fn menu(forms: &[&Form], repo: &str) -> String {
    let line = |form: &&Form| {
        let size = form
            .bytes
            .map_or(String::new(), |n| format!("  ({})", bytes(n)));
        format!("\n  {repo}:{}{size}", super::printable(&form.label))
    };
    let shown: String = forms.iter().take(60).map(line).collect();
    let rest = forms.len().saturating_sub(60);
    if rest == 0 {
        shown
    } else {
        format!("{shown}\n  ... and {rest} more")
    }
}

fn hugging_face(files: &[Listed]) -> Option<Form> {
    has(files, "config.json").then_some(())?;
    let weights: Vec<&str> = root(files)
        .filter(|path| path.ends_with(".safetensors") && !path.starts_with("consolidated"))
        .collect();
    // One copy is enough: with an index, the numbered shards.
    let indexed = has(files, "model.safetensors.index.json");
    let weights: Vec<&str> = match (indexed, weights.contains(&"model.safetensors")) {
        (true, _) => weights
            .into_iter()
            .filter(|path| *path != "model.safetensors")
            .collect(),
        (false, true) => vec!["model.safetensors"],
        (false, false) => weights,
    };
    directory(Kind::HuggingFace, files, &weights, "params.json")
}

fn native(files: &[Listed]) -> Option<Form> {
    has(files, "params.json").then_some(())?;
    let weights: Vec<&str> = root(files)
        .filter(|path| path.ends_with(".safetensors") && path.starts_with("consolidated"))
        .collect();
    directory(Kind::Native, files, &weights, "config.json")
}

/// A directory's form: its weights and the texts beside them, without those that only the other form needs.
fn directory(kind: Kind, files: &[Listed], weights: &[&str], others: &str) -> Option<Form> {
    (!weights.is_empty()).then_some(())?;
    let other_index = match kind {
        Kind::HuggingFace => "consolidated.safetensors.index.json",
        _ => "model.safetensors.index.json",
    };
    let texts = root(files).filter(|path| {
        (TEXT_FILES.contains(path) || path.ends_with(".jinja"))
            && *path != others
            && *path != other_index
    });
    let label = DIRECTORY_LABELS
        .iter()
        .find(|row| row.0 == kind)
        .map_or("", |row| row.1);
    Some(Form {
        kind,
        label: label.to_owned(),
        quantisation: label.to_owned(),
        first: None,
        mmproj: None,
        files: texts
            .chain(weights.iter().copied())
            .map(str::to_owned)
            .collect(),
        missing: missing_parts(weights),
        bytes: None,
    })
}

fn ggufs(files: &[Listed]) -> Vec<Form> {
    let is_gguf = |path: &&str| path.to_ascii_lowercase().ends_with(".gguf");
    let all: Vec<&str> = files
        .iter()
        .map(|f| f.path.as_str())
        .filter(is_gguf)
        .collect();
    let is_mmproj = |path: &str| file_name(path).to_ascii_lowercase().contains("mmproj");
    let mmprojs: Vec<&str> = all.iter().copied().filter(|path| is_mmproj(path)).collect();
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in all {
        let is_weights =
            !is_mmproj(path) && !file_name(path).to_ascii_lowercase().contains("imatrix");
        if is_weights {
            groups
                .entry(format!("{}{}", folder(path), stem(path)))
                .or_default()
                .push(path);
        }
    }
    let texts: Vec<&str> = files
        .iter()
        .map(|f| f.path.as_str())
        .filter(|path| GGUF_TEXT_FILES.contains(&file_name(path)))
        .collect();
    let mut forms: Vec<Form> = groups
        .values_mut()
        .map(|parts| {
            parts.sort_unstable();
            gguf(parts, &texts, &mmprojs)
        })
        .collect();
    // Several models in one repository share quantisations: the file's name tells them apart.
    let mut shared: BTreeMap<String, usize> = BTreeMap::new();
    for form in &forms {
        *shared.entry(form.label.to_ascii_lowercase()).or_default() += 1;
    }
    for form in &mut forms {
        if shared[&form.label.to_ascii_lowercase()] > 1
            && let Some(first) = &form.first
        {
            form.label = format!("{}{}", folder(first), stem(first));
        }
    }
    forms
}

fn gguf(parts: &[&str], texts: &[&str], mmprojs: &[&str]) -> Form {
    let first = parts[0];
    let quantisation = quantisation(stem(first))
        .or_else(|| quantisation(file_name(folder(first).trim_end_matches('/'))))
        .unwrap_or_else(|| stem(first).to_owned());
    let mmproj = mmprojs.iter().min_by_key(|path| {
        let format = self::quantisation(stem(path))
            .unwrap_or_default()
            .to_ascii_uppercase();
        let rank = MMPROJ_ORDER
            .iter()
            .position(|name| *name == format)
            .unwrap_or(MMPROJ_ORDER.len());
        (
            folder(path) != folder(first),
            !folder(path).is_empty(),
            rank,
            path.to_owned(),
        )
    });
    let texts = texts
        .iter()
        .copied()
        .filter(|path| folder(path) == folder(first));
    Form {
        kind: Kind::Gguf,
        label: quantisation.clone(),
        quantisation,
        first: Some(first.to_owned()),
        mmproj: mmproj.map(|path| (*path).to_owned()),
        files: texts
            .chain(parts.iter().copied())
            .chain(mmproj.copied())
            .map(str::to_owned)
            .collect(),
        missing: missing_parts(parts),
        bytes: None,
    }
}

/// Parts that a numbered name (`NAME-00001-of-00003.END`) promises and that are not among `parts`.
fn missing_parts(parts: &[&str]) -> Vec<String> {
    let there: BTreeSet<&str> = parts.iter().copied().collect();
    // All parts of one set say the same.
    let Some((before, count, ending)) = parts.iter().find_map(|path| numbered(path)) else {
        return Vec::new();
    };
    (1..=count)
        .map(|number| format!("{before}-{number:05}-of-{count:05}{ending}"))
        .filter(|name| !there.contains(name.as_str()))
        .take(1000)
        .collect()
}

/// `NAME-00001-of-00003.END` as `NAME`, 3, `.END`. More than 9999 parts are no split file.
fn numbered(path: &str) -> Option<(&str, u32, &str)> {
    let dot = path.rfind('.')?;
    let (name, ending) = path.split_at(dot);
    let (rest, count) = name.rsplit_once("-of-")?;
    let (before, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let count: u32 = (is_number(count) && is_number(number)).then(|| count.parse().ok())??;
    (1..10_000)
        .contains(&count)
        .then_some((before, count, ending))
}

/// The part of a file's name that says how it is quantised, as it is spelt there.
fn quantisation(stem: &str) -> Option<String> {
    let starts = |separators: &'static [char]| {
        stem.char_indices()
            .filter(move |(_, c)| separators.contains(c))
            .map(|(i, _)| i + 1)
    };
    let word = |start: &usize| {
        let rest = &stem[*start..];
        &rest[..rest.find(['-', '.']).unwrap_or(rest.len())]
    };
    let plain = starts(&['-', '.']).collect::<Vec<_>>();
    let start = plain
        .into_iter()
        .rev()
        .chain([0])
        .chain(starts(&['_']))
        .find(|start| is_quantisation(word(start)))?;
    let is_dynamic = stem[..start].to_ascii_uppercase().ends_with("UD-");
    Some(stem[if is_dynamic { start - 3 } else { start }..start].to_owned() + word(&start))
}

fn is_quantisation(word: &str) -> bool {
    const PLAIN: [&str; 7] = ["BF16", "F16", "F32", "FP16", "FP32", "FP8", "F64"];
    const NUMBERED: [&str; 3] = ["IQ", "TQ", "Q"];
    const PREFIXED: [&str; 2] = ["MXFP", "NVFP"];
    let word = word.to_ascii_uppercase();
    let after = |prefix: &&str| {
        word.strip_prefix(*prefix)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    PLAIN.contains(&word.as_str()) || NUMBERED.iter().any(after) || PREFIXED.iter().any(after)
}

fn root(files: &[Listed]) -> impl Iterator<Item = &str> {
    files
        .iter()
        .map(|f| f.path.as_str())
        .filter(|path| !path.contains('/'))
}

fn has(files: &[Listed], path: &str) -> bool {
    files.iter().any(|f| f.path == path)
}

/// The folder of a path with its last `/`, or nothing.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A file's name without its ending.
fn whole_stem(path: &str) -> &str {
    let name = file_name(path);
    name.rfind('.').map_or(name, |at| &name[..at])
}

/// A file's name without its ending and without `-00001-of-00003`.
fn stem(path: &str) -> &str {
    numbered(file_name(path)).map_or(whole_stem(path), |(before, ..)| before)
}

#[cfg(test)]
mod tests;
