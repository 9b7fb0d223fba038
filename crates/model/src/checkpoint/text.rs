//! The small files beside the weights that say how to make and read text. They are found here and read by others.

use kernels::Bytes;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// A file beside the weights, on disk or already in memory.
#[derive(Clone, Debug)]
pub struct TextFile {
    path: PathBuf,
    held: Option<Bytes>,
}

/// Files beside the weights. None of them has been read.
#[derive(Clone, Debug, Default)]
pub struct TextFiles {
    /// `tokenizer.json`
    pub tokenizer: Option<TextFile>,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<TextFile>,
    /// `tekken.json`
    pub tekken: Option<TextFile>,
    /// `chat_template.jinja`
    pub chat_template: Option<TextFile>,
    /// `generation_config.json`
    pub generation_config: Option<TextFile>,
}

impl TextFile {
    /// The file at `path`, if there is one.
    pub fn on_disk(path: PathBuf) -> Option<TextFile> {
        path.is_file().then_some(TextFile { path, held: None })
    }

    pub(super) fn in_memory(path: PathBuf, bytes: Bytes) -> TextFile {
        let held = Some(bytes);
        TextFile { path, held }
    }

    /// Its path, or the name of a file in memory for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    ///
    /// Errors: those of reading a file.
    pub fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        match &self.held {
            Some(bytes) => Ok(Cow::Borrowed(bytes.as_slice())),
            None => std::fs::read(&self.path).map(Cow::Owned),
        }
    }
}

impl TextFiles {
    pub(super) fn find(beside: impl Fn(&str) -> Option<TextFile>) -> TextFiles {
        TextFiles {
            tokenizer: beside("tokenizer.json"),
            tokenizer_config: beside("tokenizer_config.json"),
            tekken: beside("tekken.json"),
            chat_template: beside("chat_template.jinja"),
            generation_config: beside("generation_config.json"),
        }
    }
}
