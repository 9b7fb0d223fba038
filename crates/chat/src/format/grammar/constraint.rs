//! Grammars as masks over the vocabulary, by llguidance.
//!
//! Must not know: what the grammars are for, or how masks are applied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use super::{GrammarRequest, ResponseFormat, arguments_schema, render};
use crate::json::Value;
use crate::{ChatError, Tekken, TokenId};

/// Makes constraints for one tokenizer.
///
/// *Cost*: building goes over the whole vocabulary (a fraction of a second); do it once.
pub struct Grammars {
    tekken: Arc<Tekken>,
    factory: ParserFactory,
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Grammars").finish_non_exhaustive()
    }
}

/// What a reply may say next, token by token.
pub struct GrammarConstraint {
    matcher: Matcher,
}

impl std::fmt::Debug for GrammarConstraint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("GrammarConstraint")
            .finish_non_exhaustive()
    }
}

impl Grammars {
    /// Prepares the vocabulary.
    ///
    /// # Errors
    /// [`ChatError::UnsupportedTokenizerFeature`] when a special token's name is neither `[X]` nor `<X>`, or two become
    /// the same `<X>`: grammars could not tell them apart.
    pub fn new(tekken: Arc<Tekken>) -> Result<Self, ChatError> {
        let unsupported = |what: String| {
            ChatError::UnsupportedTokenizerFeature(format!("constrained decoding: {what}"))
        };
        let trie = token_trie(&tekken).map_err(unsupported)?;
        let environment: TokEnv = Arc::new(Environment {
            tekken: Arc::clone(&tekken),
            trie,
        });
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| unsupported(error.to_string()))?;
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self { tekken, factory })
    }

    /// The constraint on replies to `request`; `None` where any reply will do.
    ///
    /// # Errors
    /// As [`render`]; and [`ChatError::InvalidRequest`] when a schema uses a keyword that cannot be enforced (the message
    /// names the schema and the keyword) or is too large.
    pub fn constraint(
        &self,
        request: &GrammarRequest<'_>,
    ) -> Result<Option<GrammarConstraint>, ChatError> {
        let Some(lark) = render(request, &self.tekken)? else {
            return Ok(None);
        };
        let compiled = self
            .compile(&lark)
            .map_err(|reason| self.blame(request, reason))?;
        Ok(Some(compiled))
    }

    /// A constraint from a grammar in llguidance's Lark.
    ///
    /// # Errors
    /// The compiler's message.
    pub fn compile(&self, lark: &str) -> Result<GrammarConstraint, String> {
        let grammar = TopLevelGrammar::from_lark(lark.to_owned());
        // llguidance states its limits as errors; a panic in it must not take the process down either.
        let parser = catch_unwind(AssertUnwindSafe(|| self.factory.create_parser(grammar)));
        let parser = parser.map_err(|_| "the grammar compiler failed".to_owned())?;
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(brief(&error)),
            None => Ok(GrammarConstraint { matcher }),
        }
    }

    /// Says which of a request's schemas does not compile.
    fn blame(&self, request: &GrammarRequest<'_>, reason: String) -> ChatError {
        let tools = request
            .tools
            .iter()
            .enumerate()
            .filter(|(_, tool)| tool.strict);
        let mut schemas: Vec<(String, Value)> = tools
            .map(|(index, tool)| {
                (
                    format!("tools[{index}].function.parameters (of {:?})", tool.name),
                    arguments_schema(tool),
                )
            })
            .collect();
        if let ResponseFormat::JsonSchema {
            schema,
            strict: true,
        } = &request.response_format
        {
            schemas.push((
                "response_format.json_schema.schema".to_owned(),
                schema.clone(),
            ));
        }
        for (place, schema) in schemas {
            if let Err(reason) = self.compile(&format!("start: %json {}\n", schema.dumps())) {
                return ChatError::InvalidRequest(format!(
                    "{place} cannot be enforced: {reason}; change the schema or leave out \"strict\""
                ));
            }
        }
        ChatError::InvalidRequest(format!(
            "the request's schemas cannot be enforced together: {reason}"
        ))
    }
}

impl GrammarConstraint {
    /// Sets in `allowed` the bit of each token that may come next (bit `id % 32` of word `id / 32`) and no other.
    /// Where the reply may end, `</s>` is among them; after it, only that.
    ///
    /// # Errors
    /// [`ChatError::InvalidRequest`] when the grammar needs more steps or memory than its limits allow.
    pub fn mask(&mut self, allowed: &mut [u32]) -> Result<(), ChatError> {
        let mask = self.matcher.compute_mask_or_eos().map_err(failed)?;
        let words = mask.as_slice();
        let shared = words.len().min(allowed.len());
        allowed[..shared].copy_from_slice(&words[..shared]);
        allowed[shared..].fill(0);
        Ok(())
    }

    /// Takes note of the token that was sampled.
    ///
    /// # Errors
    /// [`ChatError::InvalidRequest`] when it was not allowed; the constraint is of no more use then.
    pub fn commit(&mut self, token: TokenId) -> Result<(), ChatError> {
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            let environment = self.matcher.tok_env().map_err(failed)?;
            if environment.tok_trie().eos_tokens().contains(&token) {
                return Ok(());
            }
        }
        self.matcher.consume_token(token).map_err(failed)
    }

    /// Whether the reply may end here.
    ///
    /// # Errors
    /// [`ChatError::InvalidRequest`] when the constraint has failed before.
    pub fn is_accepting(&mut self) -> Result<bool, ChatError> {
        self.matcher.is_accepting().map_err(failed)
    }

    /// A copy in the same state.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            matcher: self.matcher.clone(),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> ChatError {
    ChatError::InvalidRequest(format!(
        "constrained decoding: {}",
        brief(&error.to_string())
    ))
}

/// llguidance's message in one line of bounded length, without the grammar's text that it quotes.
fn brief(message: &str) -> String {
    const MAX_CHARS: usize = 300;
    let not_quoted = |line: &&str| {
        let number = line
            .split_once(" | ")
            .map(|(number, _)| number.trim().parse::<usize>());
        !matches!(number, Some(Ok(_)))
    };
    let lines: Vec<&str> = message
        .lines()
        .take_while(not_quoted)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ").chars().take(MAX_CHARS).collect()
}

/// The vocabulary as llguidance wants it: each token's bytes, special ones marked and renamed from `[X]` to `<X>`.
fn token_trie(tekken: &Tekken) -> Result<TokTrie, String> {
    let end = tekken
        .special("</s>")
        .ok_or("the tokenizer has no </s> token")?;
    let size = u32::try_from(tekken.vocab_size()).map_err(|_| "the vocabulary is too large")?;
    let mut names = std::collections::HashSet::new();
    let mut words = Vec::with_capacity(tekken.vocab_size());
    for id in 0..size {
        let bytes = tekken.token_bytes(id);
        if !tekken.is_special(id) {
            words.push(bytes.to_vec());
            continue;
        }
        let inner = bytes
            .strip_prefix(b"[")
            .and_then(|rest| rest.strip_suffix(b"]"));
        let name = inner.map_or_else(|| bytes.to_vec(), |inner| [b"<", inner, b">"].concat());
        let shown = String::from_utf8_lossy(bytes);
        if !(name.len() >= 2 && name.starts_with(b"<") && name.ends_with(b">")) {
            return Err(format!(
                "special token {id} is named {shown:?}; expected [X] or <X>"
            ));
        }
        words.push([&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_slice()].concat());
        if !names.insert(name) {
            return Err(format!(
                "special token {id}, {shown:?}, shares its name with another but for the brackets"
            ));
        }
    }
    Ok(TokTrie::from(&TokRxInfo::new(size, end), &words))
}

/// Text to tokens, for llguidance: where a grammar leaves only one text, its usual tokens are the only ones allowed.
struct Environment {
    tekken: Arc<Tekken>,
    trie: TokTrie,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie
            .tokenize_with_greedy_fallback(bytes, |text| self.tekken.encode_text(text))
    }

    fn tokenize_bytes_special(&self, bytes: &[u8]) -> Vec<TokenId> {
        let encode = |text: &str| self.tekken.encode_text(text);
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.trie.tokenize_with_special(text, encode)
        })
    }
}
