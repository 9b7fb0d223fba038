//! Reads little-endian numbers and texts one after the other, never beyond the end.

use crate::ModelError;
use crate::checkpoint::tensor::file_error;
use std::path::Path;

/// Longest key or tensor name; the format allows 65,535 bytes.
const MOST_NAME_BYTES: u64 = 65_535;

/// A position in a file's bytes.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    path: &'a Path,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], path: &'a Path) -> Cursor<'a> {
        Cursor {
            bytes,
            position: 0,
            path,
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// An error about this file.
    pub(super) fn error(&self, what: impl Into<String>) -> ModelError {
        file_error(self.path, what)
    }

    /// The next `len` bytes; `what` names them if they are not there.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], ModelError> {
        if len > self.remaining() as u64 {
            return Err(self.error(format!(
                "truncated: {what} needs {len} bytes at byte {}, the file has {} more",
                self.position,
                self.remaining()
            )));
        }
        let taken = &self.bytes[self.position..][..len as usize];
        self.position += len as usize;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelError> {
        let taken = self.take(N as u64, what)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A short text: a key or a tensor's name.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, ModelError> {
        let len = self.u64(what)?;
        if len > MOST_NAME_BYTES {
            return Err(self.error(format!(
                "{what}: {len} bytes are absurd, expected at most {MOST_NAME_BYTES}"
            )));
        }
        let bytes = self.take(len, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.error(format!("{what} is not UTF-8")))
    }
}
