//! A checkpoint's text side: from a conversation to prompt ids, and from reply ids back to text.
//!
//! Mistral checkpoints with a `tekken.json` go by the maker's own protocol; all others by their vocabulary and Jinja
//! template. Nothing here knows how tokens are computed.

use crate::grammar::Grammar;
use crate::load;
use anyhow::{Context, Result, bail};
use chat::format::grammar::constraint::Grammars;
use chat::format::grammar::{GrammarRequest, ResponseFormat, ToolChoice};
use chat::format::parse::{Delta, ReplyParser};
use chat::template::{LocalTime, Template, TemplateInputs};
use chat::vocabulary::Vocabulary;
use chat::vocabulary::{self, TokenizerConfig};
use chat::{Prompt, Tekken, TokenId, json};
use model::{Checkpoint, GgufVocabulary};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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
    grammars: OnceCell<Grammars>,
}

/// A model that is not Mistral's, or whose checkpoint has no `tekken.json`.
pub struct Other {
    vocabulary: Vocabulary,
    template: Option<Template>,
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

/// Reads a reply's ids.
pub enum Reader<'a> {
    /// The maker's protocol: thinking, tool calls and content are told apart by token id.
    Mistral(ReplyParser, &'a Tekken),
    /// Everything is content.
    Tekken(chat::tekken::Decoder, &'a Tekken),
    /// Everything is content.
    Other(vocabulary::Decoder<'a>),
}

impl Words {
    /// The text side of `checkpoint`: `tekken.json` first, then `tokenizer.json`, then the vocabulary inside a GGUF.
    pub fn of(checkpoint: &Checkpoint) -> Result<Words> {
        let files = checkpoint.text_files();
        if let Some(path) = &files.tekken {
            return Words::tekken(path);
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
        let Some(path) = &files.tokenizer else {
            bail!(
                "{} holds no vocabulary, and there is no tekken.json or tokenizer.json beside it\n\
                 Put one there; `score`, `bench` and `inspect` work without",
                checkpoint.path.display()
            );
        };
        let config = match &files.tokenizer_config {
            Some(path) => {
                TokenizerConfig::parse(&load::read(path)?).context(path.display().to_string())?
            }
            None => TokenizerConfig::default(),
        };
        let vocabulary = Vocabulary::from_tokenizer_json(&load::read(path)?, &config)
            .with_context(|| path.display().to_string())?;
        let source = match &files.chat_template {
            Some(path) => {
                Some(String::from_utf8(load::read(path)?).context(path.display().to_string())?)
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
    pub fn tekken(path: &Path) -> Result<Words> {
        let tekken = Arc::new(Tekken::from_json(&load::read(path)?, path)?);
        Ok(Words::Mistral(Mistral {
            tekken,
            grammars: OnceCell::new(),
        }))
    }

    /// The ids of text alone: no begin token, special tokens not parsed.
    pub fn text(&self, text: &str) -> Result<Vec<TokenId>> {
        match self {
            Words::Mistral(m) => Ok(m.tekken.encode_text(text)),
            Words::Other(other) => Ok(other.vocabulary.encode(text, false)?),
        }
    }

    /// A prompt that is continued as it stands: the text's ids after a begin token, where the model has one.
    pub fn raw_prompt(&self, text: &str) -> Result<Prompt> {
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
    pub fn prompt(&self, conversation: &Conversation) -> Result<(Prompt, Option<Grammar>)> {
        match self {
            Words::Mistral(mistral) => mistral.prompt(conversation),
            Words::Other(_) if conversation.schema.is_some() => {
                bail!(
                    "a JSON schema needs a Mistral tokenizer (tekken.json)\nLeave it out for this model"
                )
            }
            Words::Other(other) => Ok((other.prompt(conversation)?, None)),
        }
    }

    /// Tokens that end a reply.
    pub fn stop_tokens(&self) -> Vec<TokenId> {
        match self {
            Words::Mistral(m) => m.tekken.special("</s>").into_iter().collect(),
            Words::Other(other) => other.vocabulary.eos().to_vec(),
        }
    }

    /// A reader for the reply to `prompt`; of a `raw` one everything is content. Ids of tool calls come from `seed`.
    pub fn reader(&self, prompt: &Prompt, raw: bool, seed: u64) -> Reader<'_> {
        match self {
            Words::Mistral(m) if raw => Reader::Tekken(
                chat::tekken::Decoder::new(chat::tekken::SpecialPolicy::Keep),
                &m.tekken,
            ),
            Words::Mistral(Mistral { tekken, .. }) => {
                Reader::Mistral(ReplyParser::new(tekken, prompt.open_thinking, seed), tekken)
            }
            Words::Other(other) => Reader::Other(other.vocabulary.decoder(raw)),
        }
    }

    /// Whether the model can be asked to think.
    pub fn has_effort(&self) -> bool {
        matches!(self, Words::Mistral(m) if m.tekken.settings().is_some())
    }
}

impl Mistral {
    /// The tokenizer.
    pub fn tekken(&self) -> &Tekken {
        &self.tekken
    }

    /// By way of a chat request's body, as a server would be asked.
    fn prompt(&self, conversation: &Conversation) -> Result<(Prompt, Option<Grammar>)> {
        let mut body = json!({ "messages": conversation.messages });
        if !conversation.tools.is_empty() {
            body["tools"] = conversation.tools.clone().into();
        }
        if let Some(effort) = conversation.effort {
            body["reasoning_effort"] = effort.into();
        }
        if let Some(schema) = &conversation.schema {
            let schema = json!({"name": "reply", "schema": schema, "strict": true});
            body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
        }
        let request = chat::request::parse(body.to_string().as_bytes())?;
        let validated = chat::validate(request, &self.tekken)?;
        let prompt = chat::encode(&validated, &self.tekken)?;
        if conversation.tools.is_empty() && conversation.schema.is_none() {
            return Ok((prompt, None));
        }
        let format = json::parse(&body["response_format"].to_string())?;
        let request = GrammarRequest {
            tools: validated.tools(),
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            response_format: ResponseFormat::from_json(Some(&format))?,
        };
        Ok((prompt, self.grammars()?.constraint(&request)?.map(Grammar)))
    }

    fn grammars(&self) -> Result<&Grammars> {
        if let Some(made) = self.grammars.get() {
            return Ok(made);
        }
        let made = Grammars::new(Arc::clone(&self.tekken))?;
        Ok(self.grammars.get_or_init(|| made))
    }
}

impl Other {
    fn prompt(&self, conversation: &Conversation) -> Result<Prompt> {
        let Some(template) = &self.template else {
            bail!(
                "this checkpoint has no chat template\nUse --raw to continue a text as it stands"
            );
        };
        let name = |id: TokenId| {
            self.vocabulary
                .token_bytes(id)
                .map(|b| String::from_utf8_lossy(b).into_owned())
        };
        let bos = self.vocabulary.bos().and_then(name);
        let eos = self.vocabulary.eos().first().copied().and_then(name);
        let messages = own_json(&conversation.messages)?;
        let tools = own_json(&conversation.tools)?;
        let text = template.render(&TemplateInputs {
            messages: &messages,
            tools: (!tools.is_empty()).then_some(&tools),
            add_generation_prompt: true,
            bos_token: bos.as_deref(),
            eos_token: eos.as_deref(),
            extra: &[],
            now: now(),
        })?;
        Ok(Prompt {
            ids: self.vocabulary.encode(&text, true)?,
            images: Vec::new(),
            open_thinking: false,
        })
    }
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
            Reader::Tekken(decoder, tekken) => {
                let mut text = String::new();
                decoder.push(tekken, id, &mut text);
                content(text)
            }
            Reader::Other(decoder) => content(decoder.push(id)),
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
            Reader::Tekken(decoder, _) => {
                let mut text = String::new();
                decoder.finish(&mut text);
                content(text)
            }
            Reader::Other(decoder) => content(decoder.finish()),
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

/// The same values as the chat crate's own JSON type, which keeps numbers as they are written.
fn own_json(values: &[Value]) -> Result<Vec<json::Value>> {
    values
        .iter()
        .map(|value| json::parse(&value.to_string()).context("JSON"))
        .collect()
}

/// The time for templates that ask for it, by UTC.
fn now() -> LocalTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    LocalTime {
        seconds: since.as_secs() as i64,
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
