//! The text side of models that are not Mistral's, or whose checkpoint has no `tekken.json`: a vocabulary and a template.
//!
//! Must not know: how a reply is generated, or who asks.

use chat::json::{Object, Value};
use chat::template::{LocalTime, Template, TemplateInputs};
use chat::vocabulary::Vocabulary;
use chat::{ChatError, Prompt, TokenId};
use std::time::{SystemTime, UNIX_EPOCH};

/// A model that is not Mistral's, or whose checkpoint has no `tekken.json`.
pub struct Other {
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// Its chat format, if it has one.
    pub template: Option<Template>,
}

impl Other {
    /// The prompt of a chat request's body, whose shape has been checked.
    ///
    /// # Errors
    /// Images, a message to be continued, no template, or one that refuses the conversation.
    pub fn prompt(&self, body: &Object) -> Result<Prompt, ChatError> {
        let Some(template) = &self.template else {
            return Err(ChatError::Template(
                "this checkpoint has none; use /v1/completions or --raw to continue a text as it stands".to_owned(),
            ));
        };
        let flag = |name: &str| body.get(name) == Some(&Value::Bool(true));
        if flag("continue_final_message") {
            return Err(ChatError::Template(
                "continue_final_message needs a Mistral tokenizer (tekken.json); leave it out"
                    .to_owned(),
            ));
        }
        let list = |name: &str| body.get(name).and_then(Value::as_array).unwrap_or_default();
        let messages = list("messages")
            .iter()
            .enumerate()
            .map(|(index, message)| plain(message, index))
            .collect::<Result<Vec<_>, _>>()?;
        let tools = list("tools");
        let name = |id: TokenId| {
            self.vocabulary
                .token_bytes(id)
                .map(|b| String::from_utf8_lossy(b).into_owned())
        };
        let bos = self.vocabulary.bos().and_then(name);
        let eos = self.vocabulary.eos().first().copied().and_then(name);
        let extra: Vec<(String, Value)> = body
            .get("chat_template_kwargs")
            .and_then(Value::as_object)
            .map(|given| {
                given
                    .iter()
                    .map(|(key, value)| (key.to_owned(), value.clone()))
                    .collect()
            })
            .unwrap_or_default();
        let text = template.render(&TemplateInputs {
            messages: &messages,
            tools: (!tools.is_empty()).then_some(tools),
            add_generation_prompt: body.get("add_generation_prompt") != Some(&Value::Bool(false)),
            bos_token: bos.as_deref(),
            eos_token: eos.as_deref(),
            extra: &extra,
            now: now(),
        })?;
        Ok(Prompt {
            ids: self.vocabulary.encode(&text, true)?,
            images: Vec::new(),
            open_thinking: false,
        })
    }
}

/// A message as templates expect it: content that is a list of texts is one text, and `developer` is `system`.
fn plain(message: &Value, index: usize) -> Result<Value, ChatError> {
    let Some(fields) = message.as_object() else {
        return Ok(message.clone());
    };
    let entries = fields.iter().map(|(key, value)| {
        let value = match (key, value) {
            ("content", Value::Array(chunks)) => Value::String(joined(chunks, index)?),
            ("prefix", Value::Bool(true)) => {
                return Err(ChatError::Template(format!(
                    "messages[{index}].prefix needs a Mistral tokenizer (tekken.json); leave it out"
                )));
            }
            ("role", role) if role.as_str() == Some("developer") => {
                Value::String("system".to_owned())
            }
            _ => value.clone(),
        };
        Ok((key.to_owned(), value))
    });
    Ok(Value::Object(Object::from_entries(
        entries.collect::<Result<_, ChatError>>()?,
    )))
}

/// The texts of content chunks, one after the other.
fn joined(chunks: &[Value], index: usize) -> Result<String, ChatError> {
    let text = |chunk: &Value| chunk.as_object()?.get("text")?.as_str().map(str::to_owned);
    chunks
        .iter()
        .map(|chunk| {
            text(chunk).ok_or_else(|| {
                ChatError::UnsupportedTokenizerFeature(format!(
                    "messages[{index}].content: this model reads text only"
                ))
            })
        })
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
