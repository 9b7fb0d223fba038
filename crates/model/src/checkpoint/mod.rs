//! A checkpoint on disk: which files it has, what they list, and the weights in them.
//!
//! Files are mapped and never read whole. This folder knows file formats and tensor names; it knows nothing of the
//! forward pass beyond the shapes in [`Config`].

mod gguf;
mod load;
mod names;
mod prepared;
mod safetensors;
mod shards;
mod take;
mod tensor;
mod text;
mod vision;
mod write;

pub use gguf::{Gguf, GgufVocabulary, Value as GgufValue};
pub use prepared::PreparedPlan;
pub use safetensors::parse_safetensors;
pub use tensor::{Storage, Tensor};
pub use text::{TextFile, TextFiles};
pub use vision::{VisionCheckpoint, open_mmproj};
pub use write::{GgufPair, GgufPlan, Mix, PlannedTensor};

use crate::config::{Entry, GgufFacts, MOST_CONFIG_BYTES, VisionConfig, parse_object};
use crate::{Config, ModelError, Parameters, Weights};
use kernels::Bytes;
use names::Form;
use std::path::{Path, PathBuf};
use take::Shelf;
use tensor::file_error;

/// Most factors `rope_freqs.weight` may hold.
const MOST_FREQUENCIES: usize = 1 << 16;

/// An opened checkpoint: everything but the weights' bytes has been read and checked.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What the model is.
    pub config: Config,
    /// The directory, or the first GGUF file.
    pub path: PathBuf,
    /// The files that hold tensors; [`Tensor::file`] is an index into them.
    pub files: Vec<PathBuf>,
    tensors: Vec<Tensor>,
    form: Form,
    gguf: Option<Gguf>,
    /// The text of `config.json` and its path, if there is one.
    json: Option<(PathBuf, Vec<u8>)>,
    beside: Beside,
}

/// Where the files beside the weights are.
#[derive(Clone, Debug)]
enum Beside {
    Directory(PathBuf),
    Memory(Vec<(&'static str, Bytes)>),
}

/// Opens a Hugging Face directory or a GGUF file (a split one by its first part).
///
/// Cost: headers only. Errors: whatever is wrong with the files, with file, tensor or key, and numbers.
pub fn open(path: &Path) -> Result<Checkpoint, ModelError> {
    if path.is_dir() {
        return open_directory(path);
    }
    if !path.is_file() {
        return Err(file_error(path, "no such file or directory"));
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors" || extension == "json")
    {
        return Err(file_error(
            path,
            "a checkpoint in this form is opened by its directory",
        ));
    }
    let (gguf, files, tensors) = gguf::open_gguf(path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let beside = Beside::Directory(directory.to_owned());
    Checkpoint::from_parts_of_gguf(gguf, files, tensors, beside)
}

fn open_directory(directory: &Path) -> Result<Checkpoint, ModelError> {
    let config_path = directory.join("config.json");
    if !config_path.is_file() {
        return Err(shards::no_config(directory));
    }
    let text = shards::read_small(&config_path, MOST_CONFIG_BYTES as u64)?;
    let config = Config::from_json(text.as_slice(), &config_path)?;
    let (files, tensors) = shards::open_shards(directory)?;
    let json = (config_path, text.as_slice().to_vec());
    Ok(Checkpoint::from_parts_of_directory(
        config,
        directory,
        files,
        tensors,
        json,
        Beside::Directory(directory.to_owned()),
    ))
}

impl Checkpoint {
    /// A checkpoint of one GGUF that is already in memory; `path` names it in messages.
    ///
    /// Errors: as [`open`].
    pub fn from_gguf(file: Bytes, path: &Path) -> Result<Checkpoint, ModelError> {
        let gguf = Gguf::parse(file, path)?;
        let tensors = gguf.tensors().to_vec();
        let beside = Beside::Memory(Vec::new());
        Checkpoint::from_parts_of_gguf(gguf, vec![path.to_owned()], tensors, beside)
    }

    /// A checkpoint of a `config.json` and one safetensors file that are already in memory.
    ///
    /// Errors: as [`open`].
    pub fn from_safetensors(
        config: &[u8],
        file: &Bytes,
        path: &Path,
    ) -> Result<Checkpoint, ModelError> {
        let json = (path.to_owned(), config.to_vec());
        let config = Config::from_json(config, path)?;
        let tensors = parse_safetensors(file, path)?;
        Ok(Checkpoint::from_parts_of_directory(
            config,
            path,
            vec![path.to_owned()],
            tensors,
            json,
            Beside::Memory(Vec::new()),
        ))
    }

    fn from_parts_of_directory(
        mut config: Config,
        path: &Path,
        files: Vec<PathBuf>,
        tensors: Vec<Tensor>,
        json: (PathBuf, Vec<u8>),
        beside: Beside,
    ) -> Checkpoint {
        let has_head = names::HEADS
            .iter()
            .any(|name| tensors.iter().any(|tensor| tensor.name == *name));
        if config.tied_embeddings && has_head {
            // transformers does not tie two tensors that are both in the file and differ.
            config.tied_embeddings = false;
            config.notes.push(
                "the file has a head of its own: it is used, not the embedding table".to_owned(),
            );
        }
        Checkpoint {
            config,
            path: path.to_owned(),
            files,
            tensors,
            form: Form::HuggingFace,
            gguf: None,
            json: Some(json),
            beside,
        }
    }

    fn from_parts_of_gguf(
        gguf: Gguf,
        files: Vec<PathBuf>,
        tensors: Vec<Tensor>,
        beside: Beside,
    ) -> Result<Checkpoint, ModelError> {
        let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        let facts = GgufFacts {
            tied: find("output.weight").is_none(),
            embedding_rows: find("token_embd.weight")
                .and_then(|tensor| tensor.shape.first().copied()),
            num_tokens: match gguf.value("tokenizer.ggml.tokens") {
                Some(GgufValue::List(list)) => Some(list.len()),
                _ => None,
            },
            frequency_factors: match find("rope_freqs.weight") {
                Some(tensor) => Some(frequency_factors(tensor, &files)?),
                None => None,
            },
        };
        let config = Config::from_gguf(gguf.path(), |key| gguf.value(key).map(entry), facts)?;
        Ok(Checkpoint {
            config,
            path: gguf.path().to_owned(),
            files,
            tensors,
            form: Form::Gguf,
            gguf: Some(gguf),
            json: None,
            beside,
        })
    }

    /// Every tensor of every file, used or not.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Parameter counts of the text model.
    pub fn parameters(&self) -> Parameters {
        self.config.parameters()
    }

    /// The GGUF, if it is one: its metadata can be asked for key by key.
    pub fn gguf(&self) -> Option<&Gguf> {
        self.gguf.as_ref()
    }

    /// The vocabulary inside a GGUF; none for a directory or a GGUF without one.
    ///
    /// Cost: a copy of all tokens and merges.
    ///
    /// Errors: a vocabulary that is not what it should be.
    pub fn vocabulary(&self) -> Result<Option<GgufVocabulary>, ModelError> {
        match &self.gguf {
            None => Ok(None),
            Some(gguf) => gguf.vocabulary(),
        }
    }

    /// What lies beside the weights; a GGUF is asked for [`Checkpoint::vocabulary`] first.
    pub fn text_files(&self) -> TextFiles {
        TextFiles::find(|name| match &self.beside {
            Beside::Directory(directory) => TextFile::on_disk(directory.join(name)),
            Beside::Memory(files) => {
                let (_, bytes) = files.iter().find(|(held, _)| *held == name)?;
                Some(TextFile::in_memory(self.path.join(name), bytes.clone()))
            }
        })
    }

    /// The same checkpoint with `files`, by name, beside its weights, and no others.
    pub fn with_text_files(self, files: Vec<(&'static str, Bytes)>) -> Checkpoint {
        Checkpoint {
            beside: Beside::Memory(files),
            ..self
        }
    }

    /// The vision tower beside the text model; none for a text-only directory and for a GGUF, whose tower is a file of
    /// its own ([`open_mmproj`]).
    ///
    /// Cost: nothing is read. Errors: a tower of another kind, a contradictory number.
    pub fn vision(&self) -> Result<Option<VisionCheckpoint>, ModelError> {
        let Some((path, text)) = &self.json else {
            return Ok(None);
        };
        let root = parse_object(text, path)?;
        let Some(config) = VisionConfig::from_json(&root, path, &self.config)? else {
            return Ok(None);
        };
        let vision = self.tensors.iter().filter(|t| names::is_vision(&t.name));
        Ok(Some(VisionCheckpoint {
            config,
            path: self.path.clone(),
            files: self.files.clone(),
            tensors: vision.cloned().collect(),
            form: self.form,
        }))
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf {
            form: self.form,
            path: &self.path,
            files: &self.files,
            tensors: &self.tensors,
        }
    }

    /// Takes the weights out of the mapped files.
    ///
    /// `progress` is called with layers done and layers in all.
    ///
    /// Cost: matrices stay mapped; norms are copied; matrices of up to 16 MiB are read once to look for values that are
    /// not finite. What is copied besides is in [`Weights::report`].
    ///
    /// Errors: a tensor that is missing, has another shape than the configuration says, is stored in a format that is
    /// not supported, or holds a value that is not finite.
    pub fn load(&self, progress: &dyn Fn(usize, usize)) -> Result<Weights, ModelError> {
        load::load(self, progress)
    }
}

fn frequency_factors(tensor: &Tensor, files: &[PathBuf]) -> Result<Vec<f32>, ModelError> {
    if tensor.num_values() > MOST_FREQUENCIES as u64 {
        let shape = tensor::show_shape(&tensor.shape);
        return Err(file_error(
            &files[tensor.file],
            format!("tensor {}: shape {shape} is absurd", tensor.name),
        ));
    }
    take::values(tensor, &files[tensor.file])
}

/// A metadata value as the configuration reads it: a list whose values are all the same counts as that value (llama.cpp
/// writes some sizes once a layer).
fn entry(value: GgufValue) -> Entry {
    match value {
        GgufValue::Integer(value) => Entry::Integer(value),
        GgufValue::Real(value) => Entry::Real(value),
        GgufValue::Bool(value) => Entry::Flag(value),
        GgufValue::Text(text) => {
            Entry::Text(String::from_utf8_lossy(&text[..text.len().min(4096)]).into_owned())
        }
        GgufValue::List(list) => {
            let mut values = list.iter();
            match values.next() {
                Some(GgufValue::Integer(first)) => {
                    let same = |v| matches!(v, GgufValue::Integer(value) if value == first);
                    if values.all(same) {
                        Entry::Integer(first)
                    } else {
                        Entry::Other(
                            "a list of different numbers (layers that differ are not supported)",
                        )
                    }
                }
                _ => Entry::Other("a list"),
            }
        }
    }
}
