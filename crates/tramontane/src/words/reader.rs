//! Reading a reply's ids back into text, thoughts and tool calls, whichever text side the checkpoint has.
//!
//! Must not know: stop strings, or who is told.

use chat::format::parse::{Delta, ReplyParser, TokenCounts};
use chat::{Tekken, TokenId, tekken, vocabulary};

/// How a reply is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By the model's protocol: thoughts, tool calls and content are told apart.
    Protocol,
    /// Everything is content; special tokens are shown by name, or not at all.
    Raw {
        /// Whether they are shown.
        show_special: bool,
    },
}

/// Reads a reply's ids.
pub enum Reader<'a> {
    /// The maker's protocol: thinking, tool calls and content are told apart by token id.
    Mistral(ReplyParser, &'a Tekken),
    /// Everything is content.
    Tekken(tekken::Decoder, &'a Tekken, TokenCounts),
    /// Everything is content.
    Other(vocabulary::Decoder<'a>, TokenCounts),
}

impl Reader<'_> {
    /// What `id` adds to the reply.
    pub fn push(&mut self, id: TokenId) -> Vec<Delta> {
        match self {
            Reader::Mistral(parser, tekken) => {
                let mut deltas = Vec::new();
                parser.push(tekken, id, &mut deltas);
                deltas
            }
            Reader::Tekken(decoder, tekken, counts) => {
                counts.content += 1;
                let mut text = String::new();
                decoder.push(tekken, id, &mut text);
                content(text)
            }
            Reader::Other(decoder, counts) => {
                counts.content += 1;
                content(decoder.push(id))
            }
        }
    }

    /// Takes the token that ends the reply, which has no text.
    pub fn push_end(&mut self, id: TokenId) -> Vec<Delta> {
        match self {
            Reader::Mistral(..) => self.push(id),
            Reader::Tekken(_, _, counts) | Reader::Other(_, counts) => {
                counts.control += 1;
                Vec::new()
            }
        }
    }

    /// What the end of the reply adds to it.
    pub fn finish(&mut self) -> Vec<Delta> {
        match self {
            Reader::Mistral(parser, _) => {
                let mut deltas = Vec::new();
                parser.finish(&mut deltas);
                deltas
            }
            Reader::Tekken(decoder, ..) => {
                let mut text = String::new();
                decoder.finish(&mut text);
                content(text)
            }
            Reader::Other(decoder, _) => content(decoder.finish()),
        }
    }

    /// How many tokens went where so far.
    pub fn counts(&self) -> TokenCounts {
        match self {
            Reader::Mistral(parser, _) => parser.counts(),
            Reader::Tekken(_, _, counts) | Reader::Other(_, counts) => *counts,
        }
    }
}

fn content(text: String) -> Vec<Delta> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![Delta::Content(text)]
    }
}
