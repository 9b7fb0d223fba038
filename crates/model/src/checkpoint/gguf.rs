//! GGUF: a header, metadata, tensor descriptions, and the tensors' bytes; single files and split ones.
//!
//! It knows no model and no tensor's meaning. Nothing is allocated from a number that was not checked, and no byte of a
//! tensor is read. Source: ggml's `docs/gguf.md` and llama.cpp's `ggml/src/gguf.cpp`.

mod cursor;
mod metadata;
mod split;
mod types;
mod vocabulary;

pub use metadata::Value;
pub(crate) use split::open_gguf;
pub use vocabulary::GgufVocabulary;

use super::tensor::{
    MOST_TENSORS, Tensor, check_overlaps, checked_values, file_error, show_name, show_shape,
};
use crate::ModelError;
use cursor::Cursor;
use kernels::Bytes;
use metadata::Metadata;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"GGUF";
/// Alignment of tensor data unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Most dimensions ggml has.
const MOST_DIMS: u32 = 4;
/// Bytes of the smallest possible tensor description: name length, a dimension count, type and offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// One GGUF file: its metadata and the tensors it holds.
#[derive(Clone, Debug)]
pub struct Gguf {
    path: PathBuf,
    metadata: Metadata,
    tensors: Vec<Tensor>,
}

impl Gguf {
    /// Reads the header of a GGUF file; `path` names it in messages.
    ///
    /// Errors: wrong magic, version or byte order, a truncated file, absurd counts, a key or tensor listed twice, an
    /// unknown tensor type, a tensor outside the file or overlapping another.
    pub fn parse(file: Bytes, path: &Path) -> Result<Gguf, ModelError> {
        let (mut cursor, num_tensors, num_keys) = read_header(&file, path)?;
        let metadata = Metadata::read(&mut cursor, file.clone(), num_keys)?;
        let described = read_descriptions(&mut cursor, num_tensors)?;
        let alignment = alignment(&metadata, path)?;
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        let tensors = place(described, &file, data_start, alignment, path)?;
        Ok(Gguf {
            path: path.to_owned(),
            metadata,
            tensors,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a metadata key.
    pub fn value(&self, key: &str) -> Option<Value<'_>> {
        self.metadata.value(key)
    }

    /// Metadata pairs as they lie in the file: key, the type's number, the value's bytes.
    pub(crate) fn raw_pairs(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        self.metadata.raw()
    }

    /// Metadata keys, in the file's order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys()
    }

    /// The tensors of this file, in its order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The vocabulary, decoded; none if the file has none.
    ///
    /// Cost: a copy of all tokens and merges.
    ///
    /// Errors: a key of the wrong type, lists of different lengths, a text that is not UTF-8.
    pub fn vocabulary(&self) -> Result<Option<GgufVocabulary>, ModelError> {
        vocabulary::read_vocabulary(self)
    }
}

fn read_header<'a>(file: &'a Bytes, path: &'a Path) -> Result<(Cursor<'a>, u64, u64), ModelError> {
    let fail = |what: String| Err(file_error(path, what));
    let mut cursor = Cursor::new(file.as_slice(), path);
    let magic: [u8; 4] = cursor.array("the magic")?;
    if &magic != MAGIC {
        let shown = show_name(&String::from_utf8_lossy(&magic));
        return fail(format!(
            "not a GGUF file: expected it to start with \"GGUF\", got \"{shown}\""
        ));
    }
    let version = cursor.u32("the version")?;
    if version.swap_bytes() < 1 << 16 && version >= 1 << 16 {
        return fail(
            "a big-endian GGUF is not supported: convert it again for a little-endian machine"
                .to_owned(),
        );
    }
    if !(2..=3).contains(&version) {
        return fail(format!(
            "GGUF version {version} is not supported: expected 3 (or 2)"
        ));
    }
    let num_tensors = cursor.u64("the number of tensors")?;
    let num_keys = cursor.u64("the number of metadata keys")?;
    let room = cursor.remaining() as u64 / LEAST_TENSOR_BYTES;
    if num_tensors > room.min(MOST_TENSORS as u64) {
        return fail(format!(
            "{num_tensors} tensors are absurd: the file has room for {room}, at most {MOST_TENSORS} are supported"
        ));
    }
    Ok((cursor, num_tensors, num_keys))
}

/// A tensor as described, not yet placed.
struct Described {
    name: String,
    kind: &'static types::GgmlType,
    /// Slowest dimension first.
    shape: Vec<u64>,
    bytes: u64,
    offset: u64,
}

fn read_descriptions(cursor: &mut Cursor, num_tensors: u64) -> Result<Vec<Described>, ModelError> {
    let mut described = Vec::with_capacity(num_tensors as usize);
    let mut seen = HashSet::new();
    for index in 0..num_tensors {
        let name = cursor.text(&format!("the name of tensor {index}"))?;
        let shown = show_name(name);
        if !seen.insert(name) {
            return Err(cursor.error(format!("tensor {shown} is listed twice")));
        }
        let num_dims = cursor.u32("a tensor's dimensions")?;
        if num_dims > MOST_DIMS {
            return Err(cursor.error(format!(
                "tensor {shown}: {num_dims} dimensions, expected at most {MOST_DIMS}"
            )));
        }
        let mut shape = Vec::with_capacity(num_dims as usize);
        for _ in 0..num_dims {
            shape.push(cursor.u64("a tensor's dimensions")?);
        }
        shape.reverse();
        let id = cursor.u32("a tensor's type")?;
        let kind = types::by_id(id).ok_or_else(|| {
            cursor.error(format!(
                "tensor {shown}: type {id} is unknown; supported are {}",
                types::supported()
            ))
        })?;
        let bytes = tensor_bytes(kind, &shape)
            .map_err(|what| cursor.error(format!("tensor {shown}: {what}")))?;
        let offset = cursor.u64("a tensor's offset")?;
        described.push(Described {
            name: name.to_owned(),
            kind,
            shape,
            bytes,
            offset,
        });
    }
    Ok(described)
}

fn tensor_bytes(kind: &types::GgmlType, shape: &[u64]) -> Result<u64, String> {
    let shown = show_shape(shape);
    let values = checked_values(shape).ok_or_else(|| format!("shape {shown} is absurd"))?;
    let row = shape.last().copied().unwrap_or(1);
    if row % kind.block != 0 {
        return Err(format!(
            "a row of {row} values cannot be stored as {}: expected a multiple of {}",
            kind.name, kind.block
        ));
    }
    // Values are at most 2^60 and a block's bytes at most 16 a value.
    (values / kind.block)
        .checked_mul(kind.block_bytes)
        .ok_or_else(|| format!("shape {shown} is absurd"))
}

fn alignment(metadata: &Metadata, path: &Path) -> Result<u64, ModelError> {
    match metadata.value("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(value) => match value.as_u64() {
            Some(n) if n.is_power_of_two() && n <= 1 << 20 => Ok(n),
            _ => Err(file_error(
                path,
                format!(
                    "general.alignment: expected a power of two up to {}, got {}",
                    1 << 20,
                    value.describe()
                ),
            )),
        },
    }
}

/// Finds each tensor's bytes.
fn place(
    described: Vec<Described>,
    file: &Bytes,
    data_start: u64,
    alignment: u64,
    path: &Path,
) -> Result<Vec<Tensor>, ModelError> {
    let file_len = file.len() as u64;
    let data_len = file_len.saturating_sub(data_start);
    let mut tensors = Vec::with_capacity(described.len());
    let mut ranges = Vec::with_capacity(described.len());
    for (index, tensor) in described.into_iter().enumerate() {
        let shown = show_name(&tensor.name);
        let fail = |what: String| Err(file_error(path, format!("tensor {shown}: {what}")));
        let (offset, bytes) = (tensor.offset, tensor.bytes);
        if offset % alignment != 0 {
            return fail(format!(
                "offset {offset} is not a multiple of the alignment {alignment}"
            ));
        }
        let end = match offset.checked_add(bytes) {
            Some(end) if end <= data_len => end,
            _ => {
                return fail(format!(
                    "{bytes} bytes at offset {offset} of the data (which starts at byte {data_start}) reach beyond the file's end \
                     at byte {file_len}: truncated, or a damaged download"
                ));
            }
        };
        ranges.push((offset, end, index));
        let data = match bytes {
            0 => file.slice(0..0),
            _ => file.slice((data_start + offset) as usize..(data_start + end) as usize),
        };
        tensors.push(Tensor {
            name: tensor.name,
            storage: tensor.kind.storage(),
            shape: tensor.shape.iter().map(|dim| *dim as usize).collect(),
            data,
            file: 0,
        });
    }
    check_overlaps(path, ranges, |index| &tensors[index].name)?;
    Ok(tensors)
}
