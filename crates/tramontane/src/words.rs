//! A checkpoint's text side: from a conversation to prompt ids, and from reply ids back to text.
//!
//! Mistral checkpoints with a `tekken.json` go by the maker's own protocol; all others by their vocabulary and Jinja
//! template. Nothing here knows how tokens are computed.

mod hold;
mod other;
mod reader;

use crate::grammar::{Grammar, MaskThread};
use crate::load;
use anyhow::{Context, Result, bail};
use chat::format::grammar::constraint::{GrammarConstraint, Grammars};
use chat::format::grammar::{Beside, GrammarRequest, ResponseFormat, ToolChoice};
use chat::format::parse::{Delta, ReplyParser, TokenCounts};
use chat::json::{self, Object};
use chat::message::{ReasoningEffort, Tool};
use chat::request::Request;
use chat::tekken::{EffortSetting, ImageConfig, SpecialPolicy, Version};
use chat::template::Template;
use chat::vocabulary::{self, TokenizerConfig, Vocabulary};
use chat::{ChatError, Prompt, Tekken, TokenId};
use model::{Checkpoint, GgufVocabulary, TextFile};
use other::Other;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

pub use hold::Hold;
pub use reader::{Reader, Reading};

/// The text side of a checkpoint.
pub enum Words {
    /// The maker's protocol.
    Mistral(Mistral),
    /// A vocabulary with a template of its own.
    Other(Box<Other>),
}

/// The maker's tokenizer, and its grammars once a reply is held to one.
pub struct Mistral {
    tekken: Arc<Tekken>,
    grammars: OnceLock<(Grammars, MaskThread)>,
}

/// What a prompt is made of: messages and tools as in a chat request body.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Messages, each a JSON object with a role and content.
    pub messages: Vec<Value>,
    /// Tools the model may call.
    pub tools: Vec<Value>,
    /// `none` or `high`; left out, the model's default.
    pub effort: Option<&'static str>,
    /// A JSON schema that the answer is held to.
    pub schema: Option<Value>,
}

impl Words {
    /// The text side of `checkpoint`: `tekken.json` first, then `tokenizer.json`, then the vocabulary inside a GGUF.
    pub fn of(checkpoint: &Checkpoint) -> Result<Words> {
        let files = checkpoint.text_files();
        if let Some(file) = &files.tekken {
            return Words::tekken(file);
        }
        if let Some(fields) = checkpoint.vocabulary()? {
            let template = fields
                .chat_template
                .as_deref()
                .map(Template::new)
                .transpose()?;
            let vocabulary = Vocabulary::from_gguf(&gguf_fields(fields))?;
            return Ok(Words::Other(Box::new(Other {
                vocabulary,
                template,
            })));
        }
        let Some(file) = &files.tokenizer else {
            bail!(
                "{} holds no vocabulary, and there is no tekken.json or tokenizer.json beside it\n\
                 Put one there; `score`, `bench` and `inspect` work without",
                checkpoint.path.display()
            );
        };
        let name = |file: &TextFile| file.path().display().to_string();
        let config = match &files.tokenizer_config {
            Some(file) => TokenizerConfig::parse(&load::text(file)?).with_context(|| name(file))?,
            None => TokenizerConfig::default(),
        };
        let vocabulary = Vocabulary::from_tokenizer_json(&load::text(file)?, &config)
            .with_context(|| name(file))?;
        let source = match &files.chat_template {
            Some(file) => {
                let bytes = load::text(file)?.into_owned();
                Some(String::from_utf8(bytes).with_context(|| name(file))?)
            }
            None => config.chat_template,
        };
        let template = source.as_deref().map(Template::new).transpose()?;
        Ok(Words::Other(Box::new(Other {
            vocabulary,
            template,
        })))
    }

    /// The maker's protocol from a `tekken.json`.
    pub fn tekken(file: &TextFile) -> Result<Words> {
        let tekken = Arc::new(Tekken::from_json(&load::text(file)?, file.path())?);
        Ok(Words::Mistral(Mistral {
            tekken,
            grammars: OnceLock::new(),
        }))
    }

    /// How images are laid out in prompts, if they can be.
    pub fn image_config(&self) -> Option<ImageConfig> {
        match self {
            Words::Mistral(mistral) => mistral.tekken.image(),
            Words::Other(_) => None,
        }
    }

    /// The ids of text alone: no begin token, special tokens not parsed.
    pub fn text(&self, text: &str) -> Result<Vec<TokenId>, ChatError> {
        match self {
            Words::Mistral(m) => Ok(m.tekken.encode_text(text)),
            Words::Other(other) => Ok(other.vocabulary.encode(text, false)?),
        }
    }

    /// A prompt that is continued as it stands: the text's ids after a begin token, where the model has one.
    pub fn raw_prompt(&self, text: &str) -> Result<Prompt, ChatError> {
        let bos = match self {
            Words::Mistral(m) => m.tekken.special("<s>"),
            Words::Other(other) => other
                .vocabulary
                .bos()
                .filter(|_| other.vocabulary.adds_bos()),
        };
        let mut ids: Vec<TokenId> = bos.into_iter().collect();
        ids.extend(self.text(text)?);
        Ok(Prompt {
            ids,
            images: Vec::new(),
            open_thinking: false,
        })
    }

    /// The prompt of a conversation, and the grammar its reply is held to, if any.
    pub fn prompt(
        &self,
        conversation: &Conversation,
    ) -> Result<(Prompt, Option<Grammar>), ChatError> {
        let body = conversation.body()?;
        let hold = Hold::Protocol {
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            response_format: ResponseFormat::from_json(body.get("response_format"))?,
        };
        self.chat(chat::request::from_object(&body)?, &body, &hold)
    }

    /// The prompt of a chat request, and what its reply is held to, if anything. `request` was read from `body`, whose
    /// messages are given to templates as they are.
    ///
    /// # Errors
    /// Whatever is wrong with the conversation, or cannot be done with this checkpoint.
    pub fn chat(
        &self,
        request: Request,
        body: &Object,
        hold: &Hold,
    ) -> Result<(Prompt, Option<Grammar>), ChatError> {
        match self {
            Words::Mistral(mistral) => mistral.prompt(request, hold),
            Words::Other(other) => {
                self.hold(hold)?;
                Ok((other.prompt(body)?, None))
            }
        }
    }

    /// What a reply to a raw prompt is held to, if anything.
    ///
    /// # Errors
    /// A grammar that does not compile, or a checkpoint without a Tekken.
    pub fn hold(&self, hold: &Hold) -> Result<Option<Grammar>, ChatError> {
        match self {
            Words::Mistral(mistral) => mistral.grammar(&[], hold, false),
            Words::Other(_) if hold.is_free() => Ok(None),
            Words::Other(_) => Err(ChatError::UnsupportedTokenizerFeature(
                "replies held to tools, a JSON schema or a grammar need a Mistral tokenizer (tekken.json); leave \
                 response_format and tool_choice out for this model"
                    .to_owned(),
            )),
        }
    }

    /// Tokens that end a reply.
    pub fn stop_tokens(&self) -> Vec<TokenId> {
        match self {
            Words::Mistral(m) => m.tekken.special("</s>").into_iter().collect(),
            Words::Other(other) => other.vocabulary.eos().to_vec(),
        }
    }

    /// A reader for the reply to `prompt`. Ids of tool calls come from `seed`.
    pub fn reader(&self, prompt: &Prompt, reading: Reading, seed: u64) -> Reader<'_> {
        let counts = TokenCounts::default();
        match (self, reading) {
            (Words::Mistral(Mistral { tekken, .. }), Reading::Protocol) => {
                Reader::Mistral(ReplyParser::new(tekken, prompt.open_thinking, seed), tekken)
            }
            (Words::Mistral(m), Reading::Raw { show_special }) => {
                let decoder = chat::tekken::Decoder::new(special_policy(show_special));
                Reader::Tekken(decoder, &m.tekken, counts)
            }
            (Words::Other(other), reading) => {
                let show_special = reading == Reading::Raw { show_special: true };
                Reader::Other(other.vocabulary.decoder(show_special), counts)
            }
        }
    }

    /// The bytes of a token's text; a special token's are its name.
    pub fn token_bytes(&self, id: TokenId) -> &[u8] {
        match self {
            Words::Mistral(m) => m.tekken.token_bytes(id),
            Words::Other(other) => other.vocabulary.token_bytes(id).unwrap_or_default(),
        }
    }

    /// How many characters of the text of `ids` each of them completes.
    pub fn widths(&self, ids: &[TokenId], show_special: bool) -> Vec<usize> {
        let prompt = Prompt {
            ids: Vec::new(),
            images: Vec::new(),
            open_thinking: false,
        };
        let mut reader = self.reader(&prompt, Reading::Raw { show_special }, 0);
        let width = |delta: &Delta| match delta {
            Delta::Content(text) => text.chars().count(),
            _ => 0,
        };
        let widths = ids
            .iter()
            .map(|id| reader.push(*id).iter().map(width).sum());
        widths.collect()
    }

    /// The names of the tokens that begin and end a text, where there are some.
    pub fn ends(&self) -> (Option<String>, Option<String>) {
        let name = |id: TokenId| String::from_utf8_lossy(self.token_bytes(id)).into_owned();
        let begin = match self {
            Words::Mistral(m) => m.tekken.special("<s>"),
            Words::Other(other) => other.vocabulary.bos(),
        };
        (
            begin.map(name),
            self.stop_tokens().first().copied().map(name),
        )
    }

    /// One more than the largest id.
    pub fn num_tokens(&self) -> usize {
        match self {
            Words::Mistral(m) => m.tekken.vocab_size(),
            Words::Other(other) => other.vocabulary.num_tokens(),
        }
    }

    /// The text of ids, special tokens by name or left out.
    pub fn decode(&self, ids: &[TokenId], show_special: bool) -> String {
        match self {
            Words::Mistral(m) => m.tekken.decode(ids, special_policy(show_special)),
            Words::Other(other) => other.vocabulary.decode(ids, show_special),
        }
    }

    /// The reasoning efforts the model offers, and its default; none if it cannot be asked to think.
    pub fn efforts(&self) -> Option<&EffortSetting> {
        match self {
            Words::Mistral(m) => m.tekken.settings()?.reasoning_effort.as_ref(),
            Words::Other(_) => None,
        }
    }

    /// Whether the model can be asked to think.
    pub fn has_effort(&self) -> bool {
        self.efforts().is_some()
    }
}

impl Mistral {
    /// The tokenizer.
    pub fn tekken(&self) -> &Tekken {
        &self.tekken
    }

    fn prompt(
        &self,
        request: Request,
        hold: &Hold,
    ) -> Result<(Prompt, Option<Grammar>), ChatError> {
        let setting = self.tekken.settings();
        let setting = setting.and_then(|settings| settings.reasoning_effort.as_ref());
        // A model that cannot be told to does what it was taught.
        let thinks = setting.is_none_or(|setting| {
            let effort = request.reasoning_effort.unwrap_or(setting.default);
            effort != ReasoningEffort::None
        });
        let conversation = chat::validate(request, &self.tekken)?;
        let prompt = chat::encode(&conversation, &self.tekken)?;
        let grammar = self.grammar(conversation.tools(), hold, thinks)?;
        Ok((prompt, grammar))
    }

    fn grammar(
        &self,
        tools: &[Tool],
        hold: &Hold,
        thinks: bool,
    ) -> Result<Option<Grammar>, ChatError> {
        if let Some(lark) = hold.lark(&self.tekken, thinks)? {
            let (grammars, _) = self.grammars()?;
            let compiled = grammars.compile(&lark).map_err(|reason| {
                ChatError::InvalidRequest(format!(
                    "the grammar of the reply does not compile: {reason}"
                ))
            })?;
            return self.held_to(compiled).map(Some);
        }
        let Hold::Protocol {
            tool_choice,
            parallel_tool_calls,
            response_format,
        } = hold
        else {
            return Ok(None);
        };
        // Tokenizers before version 11 write calls that no grammar describes.
        if hold.is_free() && (tools.is_empty() || self.tekken.version() < Version::V11) {
            return Ok(None);
        }
        let request = GrammarRequest {
            tools,
            tool_choice: tool_choice.clone(),
            parallel_tool_calls: *parallel_tool_calls,
            response_format: response_format.clone(),
            beside: if thinks {
                Beside::Thought
            } else {
                Beside::Nothing
            },
        };
        let (grammars, _) = self.grammars()?;
        let constraint = grammars.constraint(&request)?;
        constraint
            .map(|constraint| self.held_to(constraint))
            .transpose()
    }

    /// Asks for the first mask at once: what bursts a limit there is refused before anything runs.
    fn held_to(&self, constraint: GrammarConstraint) -> Result<Grammar, ChatError> {
        let (_, thread) = self.grammars()?;
        let vocab_size = self.tekken.vocab_size();
        constraint
            .fork()
            .mask(&mut vec![0; vocab_size.div_ceil(32)])?;
        Ok(Grammar::new(constraint, vocab_size, thread.clone()))
    }

    fn grammars(&self) -> Result<&(Grammars, MaskThread), ChatError> {
        if let Some(made) = self.grammars.get() {
            return Ok(made);
        }
        let grammars = Grammars::new(Arc::clone(&self.tekken))?;
        let thread = MaskThread::start().map_err(|error| {
            ChatError::UnsupportedTokenizerFeature(format!(
                "constrained decoding: no thread for masks: {error}"
            ))
        })?;
        Ok(self.grammars.get_or_init(|| (grammars, thread)))
    }
}

impl Conversation {
    /// The body of a chat request, as a server would be asked.
    fn body(&self) -> Result<Object, ChatError> {
        let mut body = json!({ "messages": self.messages });
        if !self.tools.is_empty() {
            body["tools"] = self.tools.clone().into();
        }
        if let Some(effort) = self.effort {
            body["reasoning_effort"] = effort.into();
        }
        if let Some(schema) = &self.schema {
            let schema = json!({"name": "reply", "schema": schema, "strict": true});
            body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
        }
        match json::parse(&body.to_string()) {
            Ok(json::Value::Object(body)) => Ok(body),
            Ok(_) => Ok(Object::default()),
            Err(error) => Err(ChatError::Json(error.to_string())),
        }
    }
}

fn special_policy(show: bool) -> SpecialPolicy {
    match show {
        true => SpecialPolicy::Keep,
        false => SpecialPolicy::Ignore,
    }
}

/// The vocabulary's fields as the chat crate takes them.
fn gguf_fields(fields: GgufVocabulary) -> vocabulary::GgufVocabulary {
    vocabulary::GgufVocabulary {
        model: fields.model,
        pre: fields.pre,
        tokens: fields.tokens,
        token_types: fields.token_types,
        scores: fields.scores,
        merges: fields.merges,
        bos: fields.bos,
        eos: [fields.eos, fields.eot, fields.eom]
            .into_iter()
            .flatten()
            .collect(),
        unknown: fields.unknown,
        add_bos: fields.add_bos,
        add_space_prefix: fields.add_space_prefix,
    }
}
