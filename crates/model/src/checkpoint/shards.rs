//! The safetensors files of a Hugging Face directory: one, or several with an index.

use super::safetensors::parse_safetensors;
use super::tensor::{MOST_TENSORS, Tensor, file_error, show_name};
use crate::ModelError;
use kernels::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of a checkpoint in one file, and of the index of one in several.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Mistral's own names, not read yet.
const NATIVE: &str = "params.json";

/// Largest index that is read; the largest known has a few MiB.
const MOST_INDEX_BYTES: u64 = 64 << 20;

/// Maps all shards of a directory and lists their tensors.
///
/// Errors: no safetensors at all, a missing or lying shard, a tensor in two shards, an index and shards that disagree.
pub(super) fn open_shards(directory: &Path) -> Result<(Vec<PathBuf>, Vec<Tensor>), ModelError> {
    let (single, index) = (directory.join(SINGLE), directory.join(INDEX));
    if index.is_file() {
        return open_indexed(directory, &index);
    }
    if single.is_file() {
        let tensors = parse_safetensors(&Bytes::map(&single)?, &single)?;
        return Ok((vec![single], tensors));
    }
    Err(file_error(
        directory,
        format!("no {SINGLE} and no {INDEX} here: is the download complete?"),
    ))
}

/// Why a directory without `config.json` is no checkpoint.
pub(super) fn no_config(directory: &Path) -> ModelError {
    let what = if directory.join(NATIVE).is_file() {
        format!(
            "Mistral's native form ({NATIVE}) is not supported yet; use the Hugging Face form (config.json) or a GGUF"
        )
    } else {
        "no config.json here: expected a Hugging Face directory or a .gguf file".to_owned()
    };
    file_error(directory, what)
}

fn open_indexed(
    directory: &Path,
    index_path: &Path,
) -> Result<(Vec<PathBuf>, Vec<Tensor>), ModelError> {
    let text = read_small(index_path, MOST_INDEX_BYTES)?;
    let index: Index = serde_json::from_slice(text.as_slice())
        .map_err(|e| file_error(index_path, format!("not a valid index: {e}")))?;
    let names: BTreeSet<&str> = index
        .weight_map
        .0
        .iter()
        .map(|(_, file)| file.as_str())
        .collect();
    let mut files = Vec::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    for name in names {
        if name.is_empty() || name.contains(['/', '\\', ':']) || name.starts_with('.') {
            return Err(file_error(
                index_path,
                format!("shard {} is not a plain file name", show_name(name)),
            ));
        }
        let path = directory.join(name);
        if !path.is_file() {
            return Err(file_error(
                index_path,
                format!("shard {} is missing from the directory", show_name(name)),
            ));
        }
        let mut listed = parse_safetensors(&Bytes::map(&path)?, &path)?;
        listed
            .iter_mut()
            .for_each(|tensor| tensor.file = files.len());
        if tensors.len() + listed.len() > MOST_TENSORS {
            return Err(file_error(
                index_path,
                format!("more than {MOST_TENSORS} tensors"),
            ));
        }
        tensors.append(&mut listed);
        files.push(path);
    }
    check_index(index_path, &index, &files, &tensors)?;
    Ok((files, tensors))
}

/// The index and the shards must tell the same story.
fn check_index(
    index_path: &Path,
    index: &Index,
    files: &[PathBuf],
    tensors: &[Tensor],
) -> Result<(), ModelError> {
    let mut found: HashMap<&str, usize> = HashMap::new();
    for tensor in tensors {
        if let Some(first) = found.insert(&tensor.name, tensor.file) {
            return Err(file_error(
                &files[tensor.file],
                format!(
                    "tensor {} is also in {}",
                    show_name(&tensor.name),
                    files[first].display()
                ),
            ));
        }
    }
    let mut listed: HashMap<&str, &str> = HashMap::new();
    for (name, file) in &index.weight_map.0 {
        let shown = show_name(name);
        if let Some(other) = listed.insert(name, file) {
            return Err(file_error(
                index_path,
                format!("tensor {shown} is listed twice (in {other} and {file})"),
            ));
        }
        match found.get(name.as_str()) {
            None => {
                return Err(file_error(
                    index_path,
                    format!("tensor {shown} is listed in {file}, which does not hold it"),
                ));
            }
            Some(&at) if !files[at].ends_with(file) => {
                let at = files[at].display();
                return Err(file_error(
                    index_path,
                    format!("tensor {shown} is listed in {file}, but lies in {at}"),
                ));
            }
            Some(_) => {}
        }
    }
    match tensors
        .iter()
        .find(|tensor| !listed.contains_key(tensor.name.as_str()))
    {
        None => Ok(()),
        Some(tensor) => Err(file_error(
            &files[tensor.file],
            format!(
                "tensor {} is not listed in {INDEX}",
                show_name(&tensor.name)
            ),
        )),
    }
}

/// Maps a file that must be small.
pub(super) fn read_small(path: &Path, most: u64) -> Result<Bytes, ModelError> {
    let bytes = Bytes::map(path)?;
    if bytes.len() as u64 > most {
        return Err(file_error(
            path,
            format!("expected at most {most} bytes, got {}", bytes.len()),
        ));
    }
    Ok(bytes)
}

#[derive(Deserialize)]
struct Index {
    weight_map: WeightMap,
}

/// Tensor and shard names, in order and with duplicates.
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WeightMap, D::Error> {
        deserializer.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensor names and file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() == MOST_TENSORS {
                return Err(serde::de::Error::custom(format!(
                    "more than {MOST_TENSORS} tensors"
                )));
            }
            entries.push(entry);
        }
        Ok(WeightMap(entries))
    }
}
