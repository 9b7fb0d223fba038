//! From a completion request's body to a job.
//!
//! Must not know: how replies look.

use crate::api::fields::{Fields, integer};
use crate::api::generation::Job;
use crate::api::hold;
use crate::api::sampling::{self, Streaming};
use crate::app::Served;
use crate::error::{ApiError, Dialect};
use crate::generate::Settings;
use crate::words::{Reading, Words};
use chat::json::{Object, Value};
use chat::{Prompt, TokenId};

/// The most likely tokens that a request may ask for beside each.
const MAX_LOGPROBS: i64 = 20;
/// The most prompts of a request.
const MAX_PROMPTS: usize = 1024;
/// Tokens of a reply when the request does not say, as in OpenAI's interface.
const DEFAULT_MAX_TOKENS: usize = 16;

/// What a reply's form depends on.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The model by the name the client used.
    pub model: String,
    /// Whether the reply comes in chunks.
    pub streaming: Option<Streaming>,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// The prompts' texts, if they come before the replies.
    pub echo: Option<Vec<String>>,
    /// Replies to each prompt.
    pub num_choices: usize,
    /// Whether special tokens are shown by name.
    pub show_special: bool,
    /// Whether token ids are told.
    pub token_ids: bool,
    /// The stop strings.
    pub stop: Vec<String>,
    num_prompts: usize,
}

impl Ask {
    /// Replies to all prompts.
    pub fn num_replies(&self) -> usize {
        self.num_prompts * self.num_choices
    }
}

/// Reads a body.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(body: &Object, served: &Served) -> Result<(Ask, Job), ApiError> {
    let fields = Fields::new(body);
    let model = served.check_name(fields.text("model")?)?.to_owned();
    fields.refuse(
        "suffix",
        |value| value.as_str() == Some(""),
        "filling in the middle is not supported; leave it out",
    )?;
    let words = &served.words;
    let show_special = !fields.boolean("skip_special_tokens")?.unwrap_or(true);
    let prompts = prompts(fields, words, show_special)?;
    let echo = fields.boolean("echo")?.unwrap_or(false);
    let top = fields.integer("logprobs", 0..=MAX_LOGPROBS)?;
    let mut sampling = sampling::params(fields, &served.advice, None)?;
    sampling.logprobs = top.map(|top| top as usize);
    let max_tokens = fields.count("max_tokens", 0)?.unwrap_or(DEFAULT_MAX_TOKENS);
    if max_tokens == 0 && !echo {
        return Err(ApiError::field(
            "max_tokens",
            "expected at least 1, got 0; 0 only makes sense with echo",
        ));
    }
    let settings = Settings {
        max_tokens: Some(max_tokens),
        stop: sampling::stops(fields)?,
        reading: Reading::Raw { show_special },
        ignore_end: fields.boolean("ignore_eos")?.unwrap_or(false),
        // Without tokens to generate there is nothing else the engine could be asked for.
        prompt_score: echo.then_some(top.map(|top| top as usize)).and_then(
            |top| match max_tokens {
                0 => Some(top.unwrap_or(0)),
                _ => top,
            },
        ),
        sampling,
    };
    let ask = Ask {
        model,
        streaming: sampling::streaming(fields)?,
        logprobs: top.is_some(),
        echo: echo.then(|| prompts.iter().map(|(text, _)| text.clone()).collect()),
        num_choices: sampling::num_choices(fields)? as usize,
        show_special,
        token_ids: fields.boolean("return_token_ids")?.unwrap_or(false),
        stop: settings.stop.clone(),
        num_prompts: prompts.len(),
    };
    let job = Job {
        prompts: prompts.into_iter().map(|(_, prompt)| prompt).collect(),
        num_choices: ask.num_choices as u32,
        grammar: words.hold(&hold::choose(fields, Dialect::OpenAi)?)?,
        settings,
    };
    Ok((ask, job))
}

/// The prompts with their texts: one text, one list of ids, or a list of either.
fn prompts(
    fields: Fields<'_>,
    words: &Words,
    show_special: bool,
) -> Result<Vec<(String, Prompt)>, ApiError> {
    let wrong = || {
        ApiError::field(
            "prompt",
            "expected a text, a list of token ids, or a list of texts or of lists of token ids",
        )
    };
    let with_begin = fields.boolean("add_special_tokens")?.unwrap_or(true);
    let by_ids = |ids: Vec<TokenId>| {
        let prompt = Prompt {
            ids,
            images: Vec::new(),
            open_thinking: false,
        };
        (words.decode(&prompt.ids, show_special), prompt)
    };
    let one = |value: &Value| match value {
        Value::String(text) => {
            let prompt = match with_begin {
                true => words.raw_prompt(text)?,
                false => by_ids(words.text(text)?).1,
            };
            Ok((text.clone(), prompt))
        }
        Value::Array(ids) => {
            let ids = ids.iter().map(token_id).collect::<Option<Vec<_>>>();
            Ok(by_ids(ids.ok_or_else(wrong)?))
        }
        _ => Err(wrong()),
    };
    let found = match fields.get("prompt") {
        None => return Err(ApiError::field("prompt", "missing")),
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(ApiError::field("prompt", "is empty"));
        }
        Some(Value::Array(items))
            if items.len() > MAX_PROMPTS && items.iter().all(|item| token_id(item).is_none()) =>
        {
            return Err(ApiError::field(
                "prompt",
                format!("expected at most {MAX_PROMPTS}, got {}", items.len()),
            ));
        }
        Some(Value::Array(items))
            if items
                .iter()
                .all(|item| matches!(item, Value::String(_) | Value::Array(_))) =>
        {
            items
                .iter()
                .map(one)
                .collect::<Result<Vec<_>, ApiError>>()?
        }
        Some(prompt) => vec![one(prompt)?],
    };
    match found.iter().position(|(_, prompt)| prompt.ids.is_empty()) {
        None => Ok(found),
        Some(index) => Err(ApiError::field(
            "prompt",
            format!("prompt {index} has no tokens"),
        )),
    }
}

fn token_id(value: &Value) -> Option<TokenId> {
    integer(value).and_then(|id| TokenId::try_from(id).ok())
}
