//! From a chat request's body to a job.
//!
//! Must not know: how replies look.

use crate::api::fields::Fields;
use crate::api::generation::Job;
use crate::api::sampling::{self, Streaming};
use crate::api::{effort, hold, images, tolerance};
use crate::app::{App, Served};
use crate::args::Effort;
use crate::error::{ApiError, Dialect};
use crate::generate::Settings;
use crate::words::Reading;
use chat::json::Object;
use chat::message::{Content, Message, ReasoningEffort};

/// The most likely tokens that a request may ask for beside each.
const MAX_TOP_LOGPROBS: i64 = 20;

/// Mistral's own words for `safe_prompt`. Source: Mistral's documentation, "Guardrailing".
const SAFE_PROMPT: &str = "Always assist with care, respect, and truth. Respond with utmost utility yet securely. Avoid \
                           harmful, unethical, prejudiced, or negative content. Ensure replies promote fairness and \
                           positivity.";

/// What a reply's form depends on.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The client's dialect.
    pub dialect: Dialect,
    /// The model by the name the client used.
    pub model: String,
    /// Whether the reply comes in chunks.
    pub streaming: Option<Streaming>,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// The reasoning effort in effect.
    pub effort: &'static str,
    /// The stop strings.
    pub stop: Vec<String>,
}

/// Reads a body.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(
    body: &Object,
    dialect: Dialect,
    app: &App,
    served: &Served,
) -> Result<(Ask, Job), ApiError> {
    let fields = Fields::new(body);
    let model = fields.text("model")?;
    let model = served.check_name(model)?.to_owned();
    let effort = effort::choose(fields, dialect, served.words.efforts())?;
    let effort = effort.or_else(|| Some(served.words.efforts()?.default));
    let hold = hold::choose(fields, dialect)?;
    let settings = settings(fields, served, effort)?;
    let streaming = sampling::streaming(fields)?;
    let num_choices = sampling::num_choices(fields)?;
    for name in ["guardrails", "prompt_logprobs", "echo"] {
        let nothing = |value: &chat::json::Value| {
            matches!(value, chat::json::Value::Bool(false))
                || value.as_array().is_some_and(<[_]>::is_empty)
        };
        fields.refuse(name, nothing, "is not supported for chats; leave it out")?;
    }

    let lenient = tolerance::without_noise(body);
    let mut request = chat::request::from_object(&lenient)?;
    request.reasoning_effort = effort;
    if fields.boolean("safe_prompt")? == Some(true) {
        let content = Content::Text(SAFE_PROMPT.to_owned());
        request.messages.insert(0, Message::System { content });
    }
    images::fetch(&mut request, app)?;
    let (prompt, grammar) = served.words.chat(request, &lenient, &hold)?;
    let ask = Ask {
        dialect,
        model,
        streaming,
        logprobs: settings.sampling.logprobs.is_some(),
        effort: effort.unwrap_or(ReasoningEffort::None).name(),
        stop: settings.stop.clone(),
    };
    let job = Job {
        prompts: vec![prompt],
        num_choices,
        grammar,
        settings,
    };
    Ok((ask, job))
}

fn settings(
    fields: Fields<'_>,
    served: &Served,
    effort: Option<ReasoningEffort>,
) -> Result<Settings, ApiError> {
    let level = match effort {
        Some(ReasoningEffort::None) | None => Effort::None,
        Some(_) => Effort::High,
    };
    let mut sampling = sampling::params(fields, &served.advice, Some(level))?;
    let top = fields.integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    sampling.logprobs = match (fields.boolean("logprobs")?.unwrap_or(false), top) {
        (true, top) => Some(top.unwrap_or(0) as usize),
        (false, None | Some(0)) => None,
        (false, Some(_)) => {
            return Err(ApiError::field("top_logprobs", "needs logprobs to be true"));
        }
    };
    let max_tokens = match fields.count("max_completion_tokens", 1)? {
        Some(most) => Some(most),
        None => fields.count("max_tokens", 1)?,
    };
    Ok(Settings {
        sampling,
        max_tokens,
        stop: sampling::stops(fields)?,
        reading: Reading::Protocol,
        ignore_end: fields.boolean("ignore_eos")?.unwrap_or(false),
        prompt_score: None,
    })
}
