//! From a chat request's body to messages, tools and reasoning effort.
//!
//! Only what the prompt is made of is read: `model`, sampling and transport fields are somebody else's. A body comes
//! in one of two forms. It is in **Mistral's form** if its messages hold something that only that form has, a `prefix`
//! key or an `image` chunk: then unknown fields in messages and tools are refused, as mistral-common's
//! `ChatCompletionRequest` does. Otherwise it is in **OpenAI's form**: unknown fields are ignored, the role
//! `developer` means `system`, and null tool fields mean their defaults, as its `from_openai` does. Either way,
//! `reasoning` and `reasoning_content` become a thinking chunk, and list-form thinking becomes text, beforehand.
//!
//! Must not know: token ids, tokenizer versions, or whether the conversation makes sense (`validate` judges that).

mod fields;
mod messages;

use crate::error::ChatError;
use crate::json::{self, Object, Value};
use crate::message::{Chunk, Content, ImageSource, Message, ReasoningEffort, Tool};
use fields::{Fields, item};

/// What a request's prompt is made of, not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The conversation in order.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// How much to reason; `None` leaves it to the model's default.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The `response_format` as given. Only models whose settings carry a JSON schema read it for their prompt.
    pub response_format: Option<Value>,
}

impl Request {
    /// A request of these messages alone.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: Vec::new(),
            reasoning_effort: None,
            response_format: None,
        }
    }

    /// Every image's source, in order, to be replaced by its bytes where it is an address that has to be fetched.
    pub fn images_mut(&mut self) -> impl Iterator<Item = &mut ImageSource> {
        let chunks = self
            .messages
            .iter_mut()
            .filter_map(|message| match message.content_mut() {
                Some(Content::Chunks(chunks)) => Some(chunks),
                _ => None,
            });
        chunks.flatten().filter_map(|chunk| match chunk {
            Chunk::Image(source) => Some(source),
            _ => None,
        })
    }
}

/// How unknown and null fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Mistral,
    OpenAi,
}

/// Reads a request body: UTF-8 JSON text of either form.
///
/// # Errors
/// [`ChatError::Json`] for what is not JSON; [`ChatError::Validation`] and the message kinds for fields that are
/// missing, unknown or of the wrong type. Never panics, and its memory is linear in `body`.
pub fn parse(body: &[u8]) -> Result<Request, ChatError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| ChatError::Json(format!("not UTF-8: {error}")))?;
    let value = json::parse(text).map_err(|error| ChatError::Json(error.to_string()))?;
    let Value::Object(body) = &value else {
        return Err(ChatError::Validation(format!(
            "request body: expected an object, got {}",
            value.kind_name()
        )));
    };
    from_object(body)
}

/// Reads a request body that has been parsed already.
///
/// # Errors
/// As [`parse`], without [`ChatError::Json`].
pub fn from_object(body: &Object) -> Result<Request, ChatError> {
    let fields = Fields::new(body, String::new());
    let messages = fields.required_list("messages")?;
    let form = form_of(messages);
    let continues = match body.get("continue_final_message") {
        Some(value) => fields::boolean(value, "continue_final_message")?,
        None => false,
    };
    let mut messages: Vec<Message> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| messages::read(message, form, &item("messages", index)))
        .collect::<Result<_, _>>()?;
    if continues {
        let Some(Message::Assistant { prefix, .. }) = messages.last_mut() else {
            return Err(ChatError::InvalidMessageStructure(
                "continue_final_message: the last message must be an assistant message".to_owned(),
            ));
        };
        *prefix = true;
    }
    let tools = match fields.optional("tools") {
        None => Vec::new(),
        Some(value) => fields::list(value, "tools")?
            .iter()
            .enumerate()
            .map(|(index, tool)| read_tool(tool, form, &item("tools", index)))
            .collect::<Result<_, _>>()?,
    };
    Ok(Request {
        messages,
        tools,
        reasoning_effort: read_effort(&fields)?,
        response_format: fields.optional("response_format").cloned(),
    })
}

/// Mistral's form if a message has a `prefix` or an `image` chunk; see the head of this file.
fn form_of(messages: &[Value]) -> Form {
    let is_image = |chunk: &Value| {
        chunk
            .as_object()
            .and_then(|chunk| chunk.get("type"))
            .and_then(Value::as_str)
            == Some("image")
    };
    let mut messages = messages.iter().filter_map(Value::as_object);
    let only_mistral = messages.any(|message| {
        message.get("prefix").is_some()
            || message
                .get("content")
                .and_then(Value::as_array)
                .is_some_and(|chunks| chunks.iter().any(is_image))
    });
    if only_mistral {
        Form::Mistral
    } else {
        Form::OpenAi
    }
}

fn read_effort(fields: &Fields<'_>) -> Result<Option<ReasoningEffort>, ChatError> {
    let Some(value) = fields.optional("reasoning_effort") else {
        return Ok(None);
    };
    let effort = value.as_str().and_then(ReasoningEffort::from_name);
    effort.map(Some).ok_or_else(|| {
        let names = ReasoningEffort::ALL.map(ReasoningEffort::name).join(", ");
        ChatError::Validation(format!(
            "reasoning_effort: expected one of {names}, got {}",
            shown(value)
        ))
    })
}

fn read_tool(value: &Value, form: Form, path: &str) -> Result<Tool, ChatError> {
    let tool = Fields::from_value(value, path)?;
    tool.allow_only(form, &["type", "function"])?;
    tool.function_type()?;
    let function = Fields::from_value(tool.required("function")?, &tool.path_of("function"))?;
    function.allow_only(form, &["name", "description", "parameters", "strict"])?;
    // Null means "not given" in OpenAI's form only.
    let given = |name: &str| {
        let value = function.get(name);
        value.filter(|value| form == Form::Mistral || **value != Value::Null)
    };
    let parameters = match given("parameters") {
        Some(parameters @ Value::Object(_)) => parameters.clone(),
        None if form == Form::OpenAi => Value::Object(Object::default()),
        Some(other) => return Err(function.wrong_type("parameters", "an object", other)),
        None => return Err(function.missing("parameters")),
    };
    Ok(Tool {
        name: function.required_text("name")?,
        description: match given("description") {
            Some(text) => fields::text(text, &function.path_of("description"))?,
            None => String::new(),
        },
        parameters,
        strict: match given("strict") {
            Some(value) => fields::boolean(value, &function.path_of("strict"))?,
            None => false,
        },
    })
}

/// A value for an error message, cut off where it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.dumps();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
