//! A checkpoint's weights once more, in the order that products read: a safetensors file that a later start maps.
//!
//! The tensors have their source's names and are bytes to everyone else; `NAME.crc32` holds a checksum for every sixteen
//! rows, and `source` the key by which the program knows whose weights these are. What order the bytes are in is the
//! kernels' business, as is telling damaged ones.

use super::Checkpoint;
use super::names;
use super::safetensors::parse_safetensors;
use super::tensor::{Storage, Tensor, file_error};
use crate::ModelError;
use kernels::{Bytes, Cpu, Format, Matrix, Prepared};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The tensor that names the source.
const SOURCE: &str = "source";
/// What a checksums' tensor is called, after its weights.
const CHECKSUMS: &str = ".crc32";
/// Where the data begins is a multiple of this, so that rows lie as they would in memory.
const ALIGNMENT: usize = 4096;

/// What a prepared copy of a checkpoint holds, and in which order.
pub struct PreparedPlan {
    source: String,
    header: Vec<u8>,
    matrices: Vec<Matrix>,
    bytes: u64,
}

/// A tensor as a matrix that products read interleaved: all its dimensions but the last are rows.
struct Interleaved {
    format: Format,
    rows: usize,
    cols: usize,
    /// Bytes of its rows.
    weights: usize,
    checksums: usize,
}

impl Interleaved {
    /// None: products read this tensor as it is, if they read it.
    fn of(tensor: &Tensor) -> Option<Interleaved> {
        let Storage::Known(format) = tensor.storage else {
            return None;
        };
        let (cols, rows) = tensor.shape.split_last()?;
        if rows.is_empty() || names::is_vision(&tensor.name) {
            return None;
        }
        let (rows, cols) = (rows.iter().product(), *cols);
        let (weights, checksums) = Prepared::sizes(format, rows, cols)?;
        Some(Interleaved {
            format,
            rows,
            cols,
            weights,
            checksums,
        })
    }
}

impl PreparedPlan {
    /// The copy of `checkpoint`, whose files `source` stands for.
    ///
    /// Errors: nothing in it can be prepared.
    pub fn new(checkpoint: &Checkpoint, source: &str) -> Result<PreparedPlan, ModelError> {
        let shaped = |tensor| Some((tensor, Interleaved::of(tensor)?));
        let mut tensors: Vec<(&Tensor, Interleaved)> =
            checkpoint.tensors().iter().filter_map(shaped).collect();
        if tensors.is_empty() {
            let what = "no matrix here is read in another order than the file's: there is nothing to prepare";
            return Err(file_error(&checkpoint.path, what));
        }
        // Whole cache lines first: what follows them begins on one too.
        tensors.sort_by_key(|(_, shape)| !shape.weights.is_multiple_of(64));
        let mut entries = Map::new();
        let mut at = 0;
        let mut place = |name: String, dtype: &str, width: usize, len: usize| {
            let entry =
                json!({"dtype": dtype, "shape": [len / width], "data_offsets": [at, at + len]});
            entries.insert(name, entry);
            at += len;
        };
        for (tensor, shape) in &tensors {
            place(tensor.name.clone(), "U8", 1, shape.weights);
        }
        for (tensor, shape) in &tensors {
            let name = format!("{}{CHECKSUMS}", tensor.name);
            place(name, "U32", 4, shape.checksums);
        }
        place(SOURCE.to_owned(), "U8", 1, source.len());
        let header = padded_header(&Value::Object(entries));
        let matrices = tensors.iter().map(|(tensor, shape)| {
            Matrix::new(shape.format, shape.rows, shape.cols, tensor.data.clone())
        });
        Ok(PreparedPlan {
            source: source.to_owned(),
            bytes: (header.len() + at) as u64,
            header,
            matrices: matrices.collect::<Result<_, _>>()?,
        })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the file; `progress` is told of every so many bytes.
    ///
    /// Cost: reads every weight once. Errors: those of `out`.
    pub fn write(&self, cpu: &Cpu, out: &mut impl Write, progress: &dyn Fn(u64)) -> io::Result<()> {
        let mut write = |bytes: &[u8]| {
            progress(bytes.len() as u64);
            out.write_all(bytes)
        };
        write(&self.header)?;
        let mut checksums = Vec::new();
        for matrix in &self.matrices {
            checksums.push(cpu.write_interleaved(matrix, &mut write)?);
        }
        checksums.iter().try_for_each(|sums| write(sums))?;
        write(self.source.as_bytes())
    }
}

/// The length and the JSON, with spaces up to where the data begins.
fn padded_header(entries: &Value) -> Vec<u8> {
    let mut json = entries.to_string().into_bytes();
    json.resize((8 + json.len()).next_multiple_of(ALIGNMENT) - 8, b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend_from_slice(&json);
    header
}

impl Checkpoint {
    /// Lets products read the weights from the prepared copy at `path`, made of this very checkpoint. `on_damage` is
    /// called when a part of it turns out damaged, which is then read from its source.
    ///
    /// Cost: the header is read, nothing else. Errors: it is a copy of something else, or not whole.
    pub fn use_prepared(
        &mut self,
        path: &Path,
        source: &str,
        on_damage: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<(), ModelError> {
        let copies = parse_safetensors(&Bytes::map(path)?, path)?;
        let copies: HashMap<&str, &Tensor> = copies.iter().map(|t| (t.name.as_str(), t)).collect();
        let of = copies.get(SOURCE).map(|tensor| tensor.data.as_slice());
        if of != Some(source.as_bytes()) {
            return Err(file_error(path, "these are another checkpoint's weights"));
        }
        let find = |name: &str| {
            let tensor = copies.get(name).map(|tensor| tensor.data.clone());
            tensor.ok_or_else(|| file_error(path, format!("tensor {name} is missing")))
        };
        for tensor in &mut self.tensors {
            let Some(Interleaved {
                format, rows, cols, ..
            }) = Interleaved::of(tensor)
            else {
                continue;
            };
            let (weights, checksums) = (
                find(&tensor.name)?,
                find(&format!("{}{CHECKSUMS}", tensor.name))?,
            );
            let on_damage = Arc::clone(&on_damage);
            let prepared = Prepared::new(format, rows, cols, weights, checksums, on_damage)?;
            tensor.data = tensor.data.clone().with_prepared(prepared)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_where_a_page_does() {
        for name in ["a", &"b".repeat(5000)] {
            let header = padded_header(&json!({ name: {} }));
            assert!(header.len().is_multiple_of(ALIGNMENT));
            let (length, json) = header.split_first_chunk::<8>().unwrap();
            assert_eq!(u64::from_le_bytes(*length) as usize, json.len());
            assert!(serde_json::from_slice::<Value>(json).is_ok());
        }
    }
}
