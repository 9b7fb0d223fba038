//! From an image's slot in a prompt to its file.
//!
//! Must not know: file formats.

use super::file_bytes;
use crate::error::ChatError;
use crate::format::encode::ImageSlot;

impl ImageSlot {
    /// Where in the request the image stands, as error messages name it.
    pub fn place(&self) -> String {
        format!("messages[{}].content[{}]", self.message, self.chunk)
    }

    /// The image's file: [`super::digest`] hashes it, [`super::pixels`] decodes it.
    ///
    /// # Errors
    /// Those of [`file_bytes`]; none for a slot that `encode` made.
    pub fn file(&self) -> Result<Vec<u8>, ChatError> {
        file_bytes(&self.source, &self.place())
    }
}
