//! A completion in pieces, each with the text, tokens and log-probabilities that some news add. A chunk holds one piece,
//! the whole body their sum.
//!
//! Must not know: how the reply came about.

use super::ask::Ask;
use crate::app::App;
use crate::generate::{End, News};
use crate::words::Words;
use chat::format::parse::Delta;
use chat::{Prompt, TokenId};
use engine::TokenLogprobs;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all parts of a reply carry.
pub struct Head {
    app: Arc<App>,
    /// What was asked.
    pub ask: Ask,
    id: String,
    created: u64,
}

/// A part of a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    text: String,
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<Value>,
    token_ids: Vec<TokenId>,
    prompt_ids: Option<Vec<TokenId>>,
    end: Option<(Value, Value)>,
}

impl Piece {
    /// Adds the piece that follows.
    pub fn add(&mut self, next: Piece) {
        self.text.push_str(&next.text);
        self.tokens.extend(next.tokens);
        self.token_logprobs.extend(next.token_logprobs);
        self.top_logprobs.extend(next.top_logprobs);
        self.text_offset.extend(next.text_offset);
        self.token_ids.extend(next.token_ids);
        self.prompt_ids = self.prompt_ids.take().or(next.prompt_ids);
        self.end = self.end.take().or(next.end);
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Piece::default()
    }
}

/// How far a reply has been told.
pub struct Told {
    prompt: Vec<TokenId>,
    has_begun: bool,
    /// Characters of text so far.
    offset: usize,
}

impl Told {
    /// Nothing of the reply to `prompt`.
    pub fn new(prompt: &Prompt) -> Self {
        Self {
            prompt: prompt.ids.clone(),
            has_begun: false,
            offset: 0,
        }
    }
}

impl Head {
    /// A fresh id and the present time.
    pub fn new(app: Arc<App>, ask: Ask) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            app,
            ask,
            id: format!("cmpl-{}", crate::api::random_id()),
            created: since.as_secs(),
        }
    }

    /// A body or a chunk with these choices.
    pub fn object(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.ask.model,
            "choices": choices,
            "system_fingerprint": concat!("tramontane-", env!("CARGO_PKG_VERSION")),
        })
    }

    /// A choice that says what `piece` does.
    pub fn choice(&self, index: usize, piece: &Piece) -> Value {
        let (finish_reason, stop_reason) = piece.end.clone().unwrap_or_default();
        let logprobs = match self.ask.logprobs {
            false => Value::Null,
            true => json!({
                "tokens": piece.tokens,
                "token_logprobs": piece.token_logprobs,
                "top_logprobs": piece.top_logprobs,
                "text_offset": piece.text_offset,
            }),
        };
        let mut choice = json!({
            "index": index,
            "text": piece.text,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
            "stop_reason": stop_reason,
        });
        if self.ask.token_ids {
            choice["token_ids"] = json!(piece.token_ids);
            choice["prompt_token_ids"] = json!(piece.prompt_ids);
        }
        choice
    }

    /// What `news` add to the reply of that number.
    pub fn piece(&self, index: usize, told: &mut Told, news: News) -> Piece {
        let mut piece = Piece::default();
        let Ok(served) = self.app.served() else {
            return piece;
        };
        let words = &served.words;
        if let Some(scored) = &news.scored {
            let widths = words.widths(&told.prompt, self.ask.show_special);
            for ((id, logprobs), width) in told.prompt.iter().zip(&scored.tokens).zip(widths) {
                piece.token(words, told.offset, *id, logprobs.as_ref());
                told.offset += width;
            }
        }
        let says = !news.deltas.is_empty()
            || !news.tokens.is_empty()
            || news.end.is_some()
            || news.scored.is_some();
        if says && !std::mem::replace(&mut told.has_begun, true) {
            let echoed = self
                .ask
                .echo
                .as_ref()
                .and_then(|texts| texts.get(index / self.ask.num_choices));
            piece.text.push_str(echoed.map_or("", String::as_str));
            piece.prompt_ids = self.ask.token_ids.then(|| told.prompt.clone());
        }
        for delta in news.deltas {
            if let Delta::Content(text) = delta {
                piece.text.push_str(&text);
            }
        }
        for token in news.tokens {
            if self.ask.logprobs {
                piece.token(words, told.offset, token.id, token.logprobs.as_ref());
                told.offset += token.num_chars;
            }
            if self.ask.token_ids {
                piece.token_ids.push(token.id);
            }
        }
        if let Some(End::Done(ending)) = &news.end {
            let stop = ending.stopped_by.and_then(|index| self.ask.stop.get(index));
            piece.end = Some((json!(ending.reason.name()), json!(stop)));
        }
        piece
    }
}

impl Piece {
    fn token(
        &mut self,
        words: &Words,
        offset: usize,
        id: TokenId,
        logprobs: Option<&TokenLogprobs>,
    ) {
        self.tokens.push(json!(shown(words, id)));
        self.text_offset.push(json!(offset));
        let Some(logprobs) = logprobs else {
            // Nothing precedes the first token.
            self.token_logprobs.push(Value::Null);
            self.top_logprobs.push(Value::Null);
            return;
        };
        self.token_logprobs.push(json!(logprobs.logprob));
        // The token itself is always among them. Of two with the same text the likelier one is told.
        let mut top = Map::new();
        for (id, logprob) in logprobs.top.iter().copied().chain([(id, logprobs.logprob)]) {
            top.entry(shown(words, id))
                .or_insert_with(|| json!(logprob));
        }
        self.top_logprobs.push(Value::Object(top));
    }
}

/// A token's text; of bytes that are no text, their values, as OpenAI writes them.
fn shown(words: &Words, id: TokenId) -> String {
    let bytes = words.token_bytes(id);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let values: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("bytes:{values}")
        }
    }
}
