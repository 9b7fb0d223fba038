//! Jinja chat templates of models that are not Mistral's, rendered as transformers renders them.
//!
//! A template is a program from a stranger. It sees the conversation and nothing else, and it runs on a budget of
//! steps and memory that grows with the conversation, so a hostile one ends in an error. This module must not know:
//! tokens, files, the clock (the caller says what time it is), or what the messages mean.

mod clock;
mod methods;
mod tojson;
mod value;

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};

use crate::ChatError;
use crate::json::Value;

pub use clock::LocalTime;

/// Steps that any template may take. One step also pays for 64 bytes of data (minijinja's measure), so this is about
/// a tenth of a second and 64 MB.
const BASE_FUEL: u64 = 1_000_000;

/// One further step for so many bytes of the conversation: enough to copy it a dozen times.
const BYTES_PER_FUEL: u64 = 4;

/// No conversation gets more. It is enough for some 60 MB.
const MAX_FUEL: u64 = 16_000_000;

/// Stack for each step: a list in a list in a list is let go of one stack frame a level, and a step can add a level.
/// Measured: at most 64 bytes.
const STACK_PER_FUEL: u64 = 160;

const NAME: &str = "chat template";

/// What a chat template is rendered with. Everything is JSON, as the request had it.
#[derive(Debug, Clone, Default)]
pub struct TemplateInputs<'a> {
    /// The messages, each a JSON object.
    pub messages: &'a [Value],
    /// The tools, each a JSON object; `None` when the request has none.
    pub tools: Option<&'a [Value]>,
    /// Whether the prompt ends with what opens the assistant's turn.
    pub add_generation_prompt: bool,
    /// The name of the token that begins a text.
    pub bos_token: Option<&'a str>,
    /// The name of the token that ends a reply.
    pub eos_token: Option<&'a str>,
    /// Further variables, such as `enable_thinking`; they come before those above.
    pub extra: &'a [(String, Value)],
    /// What `strftime_now` says.
    pub now: LocalTime,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// [`ChatError::Template`] with the line, for what is not Jinja or uses parts that chat templates do not have.
    pub fn new(source: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(failed)?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(methods::unknown_method);
        environment.set_formatter(|out, state, value| match f64::try_from(value.clone()) {
            Ok(number) if value.kind() == ValueKind::Number && !value.is_integer() => {
                write!(out, "{}", Value::Float(number).dumps()).map_err(Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        environment.add_filter("tojson", tojson::tojson);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Jinja, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, "refused")
                    .with_source(Refused(message)))
            },
        );
        environment
            .add_template_owned(NAME, without_generation_tags(source).into_owned())
            .map_err(failed)?;
        Ok(Self { environment })
    }

    /// The prompt's text. Special tokens are in it by name: encode it with them parsed.
    ///
    /// # Errors
    /// [`ChatError::InvalidRequest`] when the template itself refuses the conversation (`raise_exception`);
    /// [`ChatError::Template`] with the line when it fails, or does not end within its budget.
    pub fn render(&self, inputs: &TemplateInputs<'_>) -> Result<String, ChatError> {
        let bytes: usize = inputs
            .messages
            .iter()
            .chain(inputs.tools.unwrap_or_default())
            .map(value::num_bytes)
            .sum();
        let fuel = MAX_FUEL.min(BASE_FUEL + bytes as u64 / BYTES_PER_FUEL);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        let render = || {
            let template = environment.get_template(NAME).map_err(failed)?;
            template.render(variables(inputs)).map_err(failed)
        };
        // The stack is reserved, not used, unless the template is hostile; the thread ends within this call.
        let stack = usize::try_from(fuel * STACK_PER_FUEL).unwrap_or(usize::MAX);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .stack_size(stack)
                .spawn_scoped(scope, render);
            let thread = thread.map_err(|error| {
                ChatError::Template(format!("no stack of {stack} bytes: {error}"))
            })?;
            thread.join().unwrap_or_else(|_| {
                Err(ChatError::Template("the template engine failed".to_owned()))
            })
        })
    }
}

/// What the template sees.
fn variables(inputs: &TemplateInputs<'_>) -> Jinja {
    let now = inputs.now;
    let extra = inputs
        .extra
        .iter()
        .map(|(name, value)| (name.as_str(), value::from_json(value)));
    let token = |name, text: Option<&str>| text.map(|text| (name, Jinja::from(text)));
    let tools = inputs
        .tools
        .map(|tools| tools.iter().map(value::from_json).collect::<Vec<_>>());
    let own = [
        (
            "messages",
            Jinja::from(
                inputs
                    .messages
                    .iter()
                    .map(value::from_message)
                    .collect::<Vec<_>>(),
            ),
        ),
        ("tools", Jinja::from(tools)),
        ("documents", Jinja::from(())),
        (
            "add_generation_prompt",
            Jinja::from(inputs.add_generation_prompt),
        ),
        (
            "strftime_now",
            Jinja::from_function(move |format: String| now.strftime(&format)),
        ),
    ];
    let tokens = token("bos_token", inputs.bos_token)
        .into_iter()
        .chain(token("eos_token", inputs.eos_token));
    Jinja::from_pairs(extra.chain(own).chain(tokens))
}

/// What `raise_exception` was given: the template's own words about the conversation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn failed(error: Error) -> ChatError {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(Refused(message)) = inner.downcast_ref() {
            return ChatError::InvalidRequest(format!(
                "the model's chat template refuses this conversation: {message}"
            ));
        }
        source = inner.source();
    }
    let line = error
        .line()
        .map_or(String::new(), |line| format!("line {line}: "));
    if error.kind() == ErrorKind::OutOfFuel {
        return ChatError::Template(format!(
            "{line}it takes more steps or memory than any real template; use another one"
        ));
    }
    let detail = error
        .detail()
        .map_or(String::new(), |detail| format!(": {detail}"));
    ChatError::Template(format!("{line}{}{detail}", error.kind()))
}

/// `{% generation %}` marks what the assistant wrote, for training; rendering needs only the scope that it opens.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let body = rest[start + 2..]
            .trim_start_matches(['-', '+'])
            .trim_start();
        let found = [("endgeneration", "endwith"), ("generation", "with")]
            .into_iter()
            .find(|(name, _)| {
                body.strip_prefix(name).is_some_and(|after| {
                    after
                        .trim_start()
                        .trim_start_matches(['-', '+'])
                        .starts_with("%}")
                })
            });
        let name_start = rest.len() - body.len();
        let end = match found {
            Some((name, replacement)) => {
                out.push_str(&rest[..name_start]);
                out.push_str(replacement);
                name_start + name.len()
            }
            None => {
                out.push_str(&rest[..start + 2]);
                start + 2
            }
        };
        rest = &rest[end..];
    }
    if out.is_empty() {
        return Cow::Borrowed(source);
    }
    out.push_str(rest);
    Cow::Owned(out)
}
