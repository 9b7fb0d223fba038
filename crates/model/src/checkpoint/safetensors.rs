//! safetensors: an 8-byte length, a JSON header, and the tensors' bytes.
//!
//! It knows no model and no tensor's meaning. Nothing is allocated from a number that was not checked, and no byte of a
//! tensor is read. Source: the format's description at github.com/huggingface/safetensors.

use super::tensor::{
    MOST_DIMS, MOST_TENSORS, Storage, Tensor, check_overlaps, checked_values, file_error,
    show_name, show_shape,
};
use crate::ModelError;
use kernels::{Bytes, Format};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

/// Largest header that is read; the largest known is a few MiB.
const MOST_HEADER_BYTES: u64 = 64 << 20;

/// Element types by their name in the header: bits a value, for those the kernels do not compute with.
const OTHER_TYPES: &[(&str, u64)] = &[
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
    ("C64", 64),
    ("I32", 32),
    ("U32", 32),
    ("I16", 16),
    ("U16", 16),
    ("I8", 8),
    ("U8", 8),
    ("BOOL", 8),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F4", 4),
];

/// Lists the tensors of one safetensors file.
///
/// Errors: a truncated file, a header that is too long or no JSON, a tensor whose type, shape and byte range disagree,
/// lie outside the file or overlap another's, a name listed twice.
pub fn parse_safetensors(file: &Bytes, path: &Path) -> Result<Vec<Tensor>, ModelError> {
    let fail = |what: String| Err(file_error(path, what));
    let bytes = file.as_slice();
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return fail(format!(
            "truncated: expected an 8-byte header length, got {} bytes",
            bytes.len()
        ));
    };
    if bytes.starts_with(b"GGUF") {
        return fail("this is a GGUF file, not safetensors; name it .gguf".to_owned());
    }
    let length = u64::from_le_bytes(*length);
    if length > MOST_HEADER_BYTES {
        return fail(format!(
            "header length {length} is absurd (at most {MOST_HEADER_BYTES} are read): not a safetensors file, or a damaged one"
        ));
    }
    if length > rest.len() as u64 {
        return fail(format!(
            "truncated: the header should have {length} bytes, the file has {} more",
            rest.len()
        ));
    }
    let (header, data) = rest.split_at(length as usize);
    let header: Header = serde_json::from_slice(header)
        .map_err(|e| file_error(path, format!("header is not valid: {e}")))?;
    let data_start = 8 + length as usize;
    let mut seen = HashSet::new();
    let mut tensors = Vec::new();
    let mut ranges = Vec::new();
    for (name, entry) in header.tensors {
        if !seen.insert(name.clone()) {
            return fail(format!("tensor {} is listed twice", show_name(&name)));
        }
        let tensor = entry.check(name, file, data_start, data.len() as u64, path)?;
        ranges.push((entry.start, entry.end, tensors.len()));
        tensors.push(tensor);
    }
    check_overlaps(path, ranges, |index| &tensors[index].name)?;
    Ok(tensors)
}

/// One entry of the header, not yet checked.
struct Entry {
    storage: Storage,
    bits: Option<u64>,
    shape: Vec<u64>,
    start: u64,
    end: u64,
}

impl Entry {
    fn check(
        &self,
        name: String,
        file: &Bytes,
        data_start: usize,
        data_len: u64,
        path: &Path,
    ) -> Result<Tensor, ModelError> {
        let shown = show_name(&name);
        let (start, end) = (self.start, self.end);
        if start > end || end > data_len {
            return Err(file_error(
                path,
                format!(
                    "tensor {shown}: bytes {start} to {end} lie outside the file's {data_len} bytes of data"
                ),
            ));
        }
        let shape = show_shape(&self.shape);
        let values = checked_values(&self.shape)
            .ok_or_else(|| file_error(path, format!("tensor {shown}: shape {shape} is absurd")))?;
        if let Some(bits) = self.bits {
            let expected = values.checked_mul(bits).map(|bits| bits.div_ceil(8));
            if expected != Some(end - start) {
                return Err(file_error(
                    path,
                    format!(
                        "tensor {shown}: {} {shape} needs {} bytes, got {} (bytes {start} to {end})",
                        self.storage.name(),
                        expected.map_or("too many".to_owned(), |n| n.to_string()),
                        end - start
                    ),
                ));
            }
        }
        Ok(Tensor {
            name,
            storage: self.storage,
            shape: self.shape.iter().map(|dim| *dim as usize).collect(),
            data: file.slice(data_start + start as usize..data_start + end as usize),
            file: 0,
        })
    }
}

fn storage(dtype: &str) -> (Storage, Option<u64>) {
    if let Some(format) = Format::from_safetensors(dtype) {
        return (
            Storage::Known(format),
            Some(if format == Format::F32 { 32 } else { 16 }),
        );
    }
    match OTHER_TYPES.iter().find(|(name, _)| *name == dtype) {
        Some((name, bits)) => (Storage::Unsupported(name), Some(*bits)),
        None => (Storage::Unsupported("an unknown type"), None),
    }
}

/// The header: tensors in the file's order. A hand-written visitor, so that nothing grows beyond what is needed.
struct Header {
    tensors: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if tensors.len() == MOST_TENSORS {
                return Err(serde::de::Error::custom(format!(
                    "more than {MOST_TENSORS} tensors"
                )));
            }
            let raw: RawEntry = map.next_value()?;
            let (storage, bits) = storage(&raw.dtype);
            let [start, end] = raw.data_offsets;
            tensors.push((
                name,
                Entry {
                    storage,
                    bits,
                    shape: raw.shape.0,
                    start,
                    end,
                },
            ));
        }
        Ok(Header { tensors })
    }
}

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(dim) = seq.next_element()? {
            if shape.len() == MOST_DIMS {
                return Err(serde::de::Error::custom(format!(
                    "more than {MOST_DIMS} dimensions"
                )));
            }
            shape.push(dim);
        }
        Ok(Shape(shape))
    }
}
