//! Reads numbers from loosely typed files and writes down where each came from.
//!
//! It knows no key of any format: `hugging_face.rs` and `gguf.rs` name them.

use super::Source;
use crate::ModelError;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Largest size any file may name: far above all real models, far below where products overflow.
const LARGEST: u64 = 1 << 30;

/// What a file holds under a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// An integer.
    Integer(i128),
    /// A number with a fraction.
    Real(f64),
    /// A truth value.
    Flag(bool),
    /// A text.
    Text(String),
    /// Something else, described for the error message.
    Other(&'static str),
}

impl Entry {
    pub(crate) fn describe(&self) -> String {
        match self {
            Entry::Integer(value) => value.to_string(),
            Entry::Real(value) => value.to_string(),
            Entry::Flag(value) => value.to_string(),
            Entry::Text(value) => format!("\"{}\"", value.chars().take(80).collect::<String>()),
            Entry::Other(what) => (*what).to_owned(),
        }
    }
}

/// What a file holds under a key, if anything.
type Lookup<'a> = Box<dyn Fn(&str) -> Option<Entry> + 'a>;

/// One file's keys, and the record of what was taken from them.
pub(crate) struct Reader<'a> {
    path: PathBuf,
    prefix: String,
    lookup: Lookup<'a>,
    sources: Vec<Source>,
    notes: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads through `lookup`; `prefix` goes before each key in records and messages.
    pub(crate) fn new(
        path: &Path,
        prefix: &str,
        lookup: impl Fn(&str) -> Option<Entry> + 'a,
    ) -> Reader<'a> {
        Reader {
            path: path.to_owned(),
            prefix: prefix.to_owned(),
            lookup: Box::new(lookup),
            sources: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The records and notes, when all is read.
    pub(crate) fn finish(self) -> (Vec<Source>, Vec<String>) {
        (self.sources, self.notes)
    }

    /// A reader of an object inside this one, under `key`; [`Reader::absorb`] brings its records back.
    pub(crate) fn inside<'b>(
        &self,
        key: &str,
        lookup: impl Fn(&str) -> Option<Entry> + 'b,
    ) -> Reader<'b> {
        Reader::new(&self.path, &format!("{}{key}.", self.prefix), lookup)
    }

    /// Takes over the records and notes of a reader made by [`Reader::inside`].
    pub(crate) fn absorb(&mut self, inner: Reader) {
        self.sources.extend(inner.sources);
        self.notes.extend(inner.notes);
    }

    /// An error about this file.
    pub(crate) fn error(&self, what: impl Into<String>) -> ModelError {
        ModelError::File {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    /// An error about one key of it.
    pub(crate) fn wrong(&self, key: &str, expected: &str, got: impl Display) -> ModelError {
        let prefix = &self.prefix;
        self.error(format!("{prefix}{key}: expected {expected}, got {got}"))
    }

    /// Something the user should see.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Records a number that came from elsewhere (a default, a tensor's shape).
    pub(crate) fn record(
        &mut self,
        name: &'static str,
        value: impl ToString,
        key: impl Into<String>,
    ) {
        self.sources.push(Source {
            name,
            value: value.to_string(),
            file: self.path.clone(),
            key: key.into(),
        });
    }

    fn record_key(&mut self, name: &'static str, value: impl ToString, key: &str) {
        let key = format!("{}{key}", self.prefix);
        self.record(name, value, key);
    }

    /// The entry of a key, unread.
    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        (self.lookup)(key)
    }

    /// A whole number that may be absent; zero is allowed.
    pub(crate) fn count_opt(
        &mut self,
        name: &'static str,
        key: &str,
    ) -> Result<Option<usize>, ModelError> {
        let Some(entry) = self.entry(key) else {
            return Ok(None);
        };
        let value = match entry {
            Entry::Integer(value) => value,
            // Python writes 8192.0 now and then.
            Entry::Real(value) if value.fract() == 0.0 && value.abs() < 1e15 => value as i128,
            other => return Err(self.wrong(key, "a whole number", other.describe())),
        };
        let value = u64::try_from(value)
            .ok()
            .filter(|value| *value <= LARGEST)
            .ok_or_else(|| self.wrong(key, &format!("a number from 0 to {LARGEST}"), value))?;
        self.record_key(name, value, key);
        Ok(Some(value as usize))
    }

    /// A whole number above zero that must be there.
    pub(crate) fn size(&mut self, name: &'static str, key: &str) -> Result<usize, ModelError> {
        let value = self
            .count_opt(name, key)?
            .ok_or_else(|| self.missing(key, "a whole number"))?;
        self.above_zero(key, value)
    }

    /// A whole number above zero; if absent, `default`, recorded with its origin.
    pub(crate) fn size_or(
        &mut self,
        name: &'static str,
        key: &str,
        default: usize,
        origin: &str,
    ) -> Result<usize, ModelError> {
        let value = self.count_or(name, key, default, origin)?;
        self.above_zero(key, value)
    }

    /// A whole number; if absent, `default`, recorded with its origin.
    pub(crate) fn count_or(
        &mut self,
        name: &'static str,
        key: &str,
        default: usize,
        origin: &str,
    ) -> Result<usize, ModelError> {
        let found = self.count_opt(name, key)?;
        Ok(found.unwrap_or_else(|| self.default(name, default, origin)))
    }

    /// `value`, recorded as a default.
    fn default<T: Display>(&mut self, name: &'static str, value: T, origin: &str) -> T {
        self.record(name, &value, format!("default: {origin}"));
        value
    }

    /// A finite number that may be absent.
    pub(crate) fn real_opt(
        &mut self,
        name: &'static str,
        key: &str,
    ) -> Result<Option<f64>, ModelError> {
        let value = match self.entry(key) {
            None => return Ok(None),
            Some(Entry::Integer(value)) => value as f64,
            Some(Entry::Real(value)) => value,
            Some(other) => return Err(self.wrong(key, "a number", other.describe())),
        };
        if !value.is_finite() || value.abs() > f64::from(f32::MAX) {
            return Err(self.wrong(key, "a finite number", value));
        }
        // Single precision prints as it was meant: 1e-5, not 0.000009999999747378752.
        let short = value as f32;
        if f64::from(short) == value {
            self.record_key(name, short, key);
        } else {
            self.record_key(name, value, key);
        }
        Ok(Some(value))
    }

    /// A finite number; if absent, `default`, recorded with its origin.
    pub(crate) fn real_or(
        &mut self,
        name: &'static str,
        key: &str,
        default: f64,
        origin: &str,
    ) -> Result<f64, ModelError> {
        let found = self.real_opt(name, key)?;
        Ok(found.unwrap_or_else(|| self.default(name, default, origin)))
    }

    /// A truth value that may be absent.
    pub(crate) fn flag_opt(
        &mut self,
        name: &'static str,
        key: &str,
    ) -> Result<Option<bool>, ModelError> {
        match self.entry(key) {
            None => Ok(None),
            Some(Entry::Flag(value)) => {
                self.record_key(name, value, key);
                Ok(Some(value))
            }
            Some(other) => Err(self.wrong(key, "true or false", other.describe())),
        }
    }

    /// A text that may be absent.
    pub(crate) fn text_opt(
        &mut self,
        name: &'static str,
        key: &str,
    ) -> Result<Option<String>, ModelError> {
        match self.entry(key) {
            None => Ok(None),
            Some(Entry::Text(value)) => {
                self.record_key(name, &value, key);
                Ok(Some(value))
            }
            Some(other) => Err(self.wrong(key, "a text", other.describe())),
        }
    }

    /// The error for a key that must be there and is not.
    pub(crate) fn missing(&self, key: &str, expected: &str) -> ModelError {
        let prefix = &self.prefix;
        self.error(format!("{prefix}{key} is missing: expected {expected}"))
    }

    fn above_zero(&self, key: &str, value: usize) -> Result<usize, ModelError> {
        if value == 0 {
            return Err(self.wrong(key, "a number above zero", 0));
        }
        Ok(value)
    }
}
