//! The key-value part of a GGUF: checked once, decoded when asked.
//!
//! Lists stay where they lie in the file: a vocabulary of 131,072 tokens costs nothing until someone wants it.

use super::cursor::Cursor;
use crate::ModelError;
use crate::checkpoint::tensor::show_name;
use kernels::Bytes;
use std::collections::HashMap;
use std::ops::Range;

/// Most keys; real files have under a hundred.
const MOST_KEYS: u64 = 1 << 16;
/// Deepest list of lists; real files have none.
const MOST_DEPTH: usize = 4;
/// Bytes of the smallest possible pair: key length, value type and a byte.
const LEAST_PAIR_BYTES: u64 = 8 + 4 + 1;

/// The type of a value, by its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    List,
    U64,
    I64,
    F64,
}

impl Kind {
    fn from_id(id: u32) -> Option<Kind> {
        use Kind::*;
        [
            U8, I8, U16, I16, U32, I32, F32, Bool, Text, List, U64, I64, F64,
        ]
        .get(id as usize)
        .copied()
    }

    /// Bytes of a value; none for texts and lists.
    fn fixed_bytes(self) -> Option<u64> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::Text | Kind::List => None,
        }
    }
}

/// A value, borrowed from the file.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Any integer type.
    Integer(i128),
    /// Either float type.
    Real(f64),
    /// A truth value.
    Bool(bool),
    /// A text, as bytes: the format wants UTF-8, files do not always comply.
    Text(&'a [u8]),
    /// A list.
    List(List<'a>),
}

/// A list of values, borrowed from the file; walked with [`List::iter`].
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    kind: Kind,
    len: u64,
    bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values, in order; nested lists included.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (kind, mut rest) = (self.kind, self.bytes);
        // The bytes were walked when the file was read, so every value is there.
        (0..self.len).map_while(move |_| decode(kind, &mut rest))
    }
}

impl Value<'_> {
    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Integer(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The value in words, for a message.
    pub fn describe(&self) -> String {
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Text(text) => format!(
                "\"{}\"",
                show_name(&String::from_utf8_lossy(&text[..text.len().min(512)]))
            ),
            Value::List(list) => format!("a list of {}", list.len),
        }
    }
}

/// All pairs of a file.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    file: Bytes,
    pairs: Vec<(String, Kind, Range<usize>)>,
    by_key: HashMap<String, usize>,
}

impl Metadata {
    /// Walks over `num_keys` pairs.
    ///
    /// Errors: too many keys, an unknown type, a key listed twice, anything that reaches beyond the file.
    pub(super) fn read(
        cursor: &mut Cursor,
        file: Bytes,
        num_keys: u64,
    ) -> Result<Metadata, ModelError> {
        let room = cursor.remaining() as u64 / LEAST_PAIR_BYTES;
        if num_keys > room.min(MOST_KEYS) {
            return Err(cursor.error(format!(
                "{num_keys} metadata keys are absurd: the file has room for {room}, at most {MOST_KEYS} are supported"
            )));
        }
        let mut pairs = Vec::with_capacity(num_keys as usize);
        let mut by_key = HashMap::new();
        for index in 0..num_keys {
            let key = cursor.text(&format!("metadata key {index}"))?;
            let shown = show_name(key);
            if by_key.insert(key.to_owned(), pairs.len()).is_some() {
                return Err(cursor.error(format!("metadata key {shown} is listed twice")));
            }
            let kind = read_kind(cursor, &shown)?;
            let start = cursor.position();
            skip(cursor, kind, &shown, 0)?;
            pairs.push((key.to_owned(), kind, start..cursor.position()));
        }
        Ok(Metadata {
            file,
            pairs,
            by_key,
        })
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'_>> {
        let (_, kind, range) = &self.pairs[*self.by_key.get(key)?];
        decode(*kind, &mut &self.file.as_slice()[range.clone()])
    }

    /// All pairs as they lie in the file: key, the type's number, the value's bytes.
    pub(super) fn raw(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        let pairs = self.pairs.iter();
        pairs.map(|(key, kind, range)| {
            (
                key.as_str(),
                *kind as u32,
                &self.file.as_slice()[range.clone()],
            )
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(key, _, _)| key.as_str())
    }
}

fn read_kind(cursor: &mut Cursor, key: &str) -> Result<Kind, ModelError> {
    let id = cursor.u32(key)?;
    Kind::from_id(id).ok_or_else(|| {
        cursor.error(format!(
            "metadata key {key}: unknown value type {id}, expected 0 to 12"
        ))
    })
}

/// Steps over a value, checking that all of it is there.
fn skip(cursor: &mut Cursor, kind: Kind, key: &str, depth: usize) -> Result<(), ModelError> {
    if let Some(bytes) = kind.fixed_bytes() {
        cursor.take(bytes, key)?;
        return Ok(());
    }
    if kind == Kind::Text {
        let len = cursor.u64(key)?;
        cursor.take(len, key)?;
        return Ok(());
    }
    if depth == MOST_DEPTH {
        return Err(cursor.error(format!(
            "metadata key {key}: lists nested more than {MOST_DEPTH} deep"
        )));
    }
    let element = read_kind(cursor, key)?;
    let len = cursor.u64(key)?;
    // A text takes 8 bytes at least, a list 12: a claimed length beyond the file ends the walk at once.
    let least = element
        .fixed_bytes()
        .unwrap_or(if element == Kind::Text { 8 } else { 12 });
    let needed = len
        .checked_mul(least)
        .filter(|needed| *needed <= cursor.remaining() as u64);
    let Some(needed) = needed else {
        return Err(cursor.error(format!(
            "metadata key {key}: a list of {len} values needs more than the file's {} remaining bytes",
            cursor.remaining()
        )));
    };
    if element.fixed_bytes().is_some() {
        cursor.take(needed, key)?;
        return Ok(());
    }
    for _ in 0..len {
        skip(cursor, element, key, depth + 1)?;
    }
    Ok(())
}

/// Takes the next value off `rest`; none if it is not all there.
fn decode<'a>(kind: Kind, rest: &mut &'a [u8]) -> Option<Value<'a>> {
    Some(match kind {
        Kind::U8 => Value::Integer(u8::from_le_bytes(next(rest)?).into()),
        Kind::I8 => Value::Integer(i8::from_le_bytes(next(rest)?).into()),
        Kind::U16 => Value::Integer(u16::from_le_bytes(next(rest)?).into()),
        Kind::I16 => Value::Integer(i16::from_le_bytes(next(rest)?).into()),
        Kind::U32 => Value::Integer(u32::from_le_bytes(next(rest)?).into()),
        Kind::I32 => Value::Integer(i32::from_le_bytes(next(rest)?).into()),
        Kind::U64 => Value::Integer(u64::from_le_bytes(next(rest)?).into()),
        Kind::I64 => Value::Integer(i64::from_le_bytes(next(rest)?).into()),
        Kind::F32 => Value::Real(f32::from_le_bytes(next(rest)?).into()),
        Kind::F64 => Value::Real(f64::from_le_bytes(next(rest)?)),
        Kind::Bool => Value::Bool(next::<1>(rest)? != [0]),
        Kind::Text => {
            let len = u64::from_le_bytes(next(rest)?);
            let (text, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            *rest = after;
            Value::Text(text)
        }
        Kind::List => Value::List(decode_list(rest)?),
    })
}

fn decode_list<'a>(rest: &mut &'a [u8]) -> Option<List<'a>> {
    let kind = Kind::from_id(u32::from_le_bytes(next(rest)?))?;
    let len = u64::from_le_bytes(next(rest)?);
    let bytes = *rest;
    match kind.fixed_bytes() {
        Some(each) => *rest = rest.get(usize::try_from(len.checked_mul(each)?).ok()?..)?,
        None => {
            for _ in 0..len {
                decode(kind, rest)?;
            }
        }
    }
    Some(List {
        kind,
        len,
        bytes: &bytes[..bytes.len() - rest.len()],
    })
}

fn next<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}
