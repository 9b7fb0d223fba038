//! What a reply may be, as a grammar: the maker's constrained decoding for tools and JSON, in llguidance's Lark.
//!
//! The maker's grammars let a reply that must be a call ramble first, and JSON go on with white space for ever; [`Beside`]
//! says how much of that stays.
//!
//! A request says what it wants ([`GrammarRequest`]); [`render`] makes the grammar's text, and
//! [`constraint::Grammars`] compiles it into masks over the vocabulary. Special tokens appear by id, `<[9]>`, and
//! regular expressions never match one, so no text can contain a control token.
//! Source: mistral-common 1.13.1, `guidance/`. Must not know: sampling, the engine, HTTP.

pub mod constraint;

use crate::json::{Object, Value};
use crate::message::Tool;
use crate::schema::dates;
use crate::tekken::{Tekken, Version};
use crate::{ChatError, schema};

/// Which tools the model may or must call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No calls.
    None,
    /// At least one call; the name the request used for it (`required`, or `any`).
    Required(&'static str),
    /// At least one call, to this tool only.
    Named(String),
}

impl ToolChoice {
    /// The request's `tool_choice`: a word, or `{"type": "function", "function": {"name": …}}`.
    ///
    /// # Errors
    /// [`ChatError::Validation`] for anything else.
    pub fn from_json(value: Option<&Value>) -> Result<Self, ChatError> {
        match value.map(|value| (value, value.as_str())) {
            None | Some((Value::Null, _) | (_, Some("auto"))) => Ok(Self::Auto),
            Some((_, Some("none"))) => Ok(Self::None),
            Some((_, Some("any"))) => Ok(Self::Required("any")),
            Some((_, Some("required"))) => Ok(Self::Required("required")),
            Some((value, _)) => {
                let named = value.as_object().filter(|object| {
                    object
                        .get("type")
                        .is_none_or(|kind| kind.as_str() == Some("function"))
                });
                let function = named.and_then(|object| object.get("function")?.as_object());
                let name = function.and_then(|function| function.get("name")?.as_str());
                name.map(|name| Self::Named(name.to_owned()))
                    .ok_or_else(|| {
                        ChatError::Validation(
                            "tool_choice: expected \"auto\", \"none\", \"any\", \"required\", or \
                         {\"type\": \"function\", \"function\": {\"name\": …}}"
                                .to_owned(),
                        )
                    })
            }
        }
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object or list.
    JsonObject,
    /// JSON of this schema; without `strict` only JSON.
    JsonSchema {
        /// The schema, an object.
        schema: Value,
        /// Whether it is enforced.
        strict: bool,
    },
}

impl ResponseFormat {
    /// The request's `response_format`.
    ///
    /// # Errors
    /// [`ChatError::Validation`] naming the field that is missing or wrong.
    pub fn from_json(value: Option<&Value>) -> Result<Self, ChatError> {
        let invalid = |what: String| ChatError::Validation(format!("response_format{what}"));
        let expected = |field: &str, what: &str| invalid(format!("{field}: expected {what}"));
        let Some(value) = value.filter(|value| **value != Value::Null) else {
            return Ok(Self::Text);
        };
        let format = value.as_object().ok_or_else(|| expected("", "an object"))?;
        match format.get("type").map_or(Some("text"), Value::as_str) {
            Some("text") => Ok(Self::Text),
            Some("json_object") => Ok(Self::JsonObject),
            Some("json_schema") => {
                let named = format.get("json_schema").and_then(Value::as_object);
                let named = named.ok_or_else(|| expected(".json_schema", "an object"))?;
                let schema = named
                    .get("schema")
                    .filter(|schema| schema.as_object().is_some());
                let schema = schema.ok_or_else(|| expected(".json_schema.schema", "an object"))?;
                schema::check(schema)
                    .map_err(|reason| invalid(format!(".json_schema.schema{reason}")))?;
                let strict = match named.get("strict") {
                    None | Some(Value::Null | Value::Bool(false)) => false,
                    Some(Value::Bool(true)) => true,
                    Some(_) => return Err(expected(".json_schema.strict", "a boolean")),
                };
                Ok(Self::JsonSchema {
                    schema: schema.clone(),
                    strict,
                })
            }
            _ => Err(expected(".type", "one of text, json_object, json_schema")),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::JsonObject => "json_object",
            Self::JsonSchema { .. } => "json_schema",
        }
    }

    /// The schema that is enforced; `None` for text.
    fn schema(&self) -> Option<Value> {
        match self {
            Self::Text => None,
            Self::JsonSchema {
                schema,
                strict: true,
            } => Some(schema.clone()),
            Self::JsonObject | Self::JsonSchema { strict: false, .. } => {
                let either = vec![
                    object_schema(&[]),
                    object(&[("type", Value::String("array".to_owned()))]),
                ];
                Some(object(&[("anyOf", Value::Array(either))]))
            }
        }
    }
}

/// What a reply that must be calls, or JSON, may say beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beside {
    /// All that the maker's grammars allow: a thought, text before a call, white space in JSON without end.
    Anything,
    /// A thought first, where the tokenizer has tokens for it.
    Thought,
    /// Nothing.
    #[default]
    Nothing,
}

/// White space between two parts of JSON: a line's end and eleven levels of two. A model that is unsure goes on with it
/// for as long as it may.
const JSON_SPACE: &str = r"[ \t\r\n]{1,24}";

/// What decides a reply's grammar.
#[derive(Debug, Clone)]
pub struct GrammarRequest<'a> {
    /// The tools on offer.
    pub tools: &'a [Tool],
    /// Which of them to call.
    pub tool_choice: ToolChoice,
    /// Whether several calls may follow each other.
    pub parallel_tool_calls: bool,
    /// The form of an answer.
    pub response_format: ResponseFormat,
    /// What may stand beside what is required.
    pub beside: Beside,
}

/// What a reply's body consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Text or calls.
    Auto,
    /// Calls, maybe after text.
    Calls,
    /// Text.
    Text,
}

/// A request, judged: what goes into the grammar.
struct Plan<'a> {
    body: Body,
    tools: Vec<&'a Tool>,
    schema: Option<Value>,
    /// Nothing but JSON, which is else an alternative to calls.
    json_only: bool,
    /// Names are those of `tools` even where no tool is strict.
    fixed_names: bool,
}

impl<'a> GrammarRequest<'a> {
    fn plan(&self) -> Result<Option<Plan<'a>>, ChatError> {
        let plan = Plan {
            body: Body::Auto,
            tools: self.tools.iter().collect(),
            schema: self.response_format.schema(),
            json_only: false,
            fixed_names: false,
        };
        if self.response_format == ResponseFormat::Text {
            self.plan_text(plan)
        } else {
            self.plan_json(plan).map(Some)
        }
    }

    fn plan_text(&self, plan: Plan<'a>) -> Result<Option<Plan<'a>>, ChatError> {
        let refuse = |message: String| Err(ChatError::InvalidRequest(message));
        match &self.tool_choice {
            ToolChoice::Auto if self.tools.is_empty() => Ok(None),
            ToolChoice::Auto => Ok(Some(plan)),
            ToolChoice::None => Ok(Some(Plan {
                body: Body::Text,
                ..plan
            })),
            ToolChoice::Required(word) if self.tools.is_empty() => {
                refuse(format!("No tools provided for tool choice `{word}`"))
            }
            ToolChoice::Required(_) => Ok(Some(Plan {
                body: Body::Calls,
                ..plan
            })),
            ToolChoice::Named(name) if self.tools.is_empty() => {
                refuse(format!("No tools provided for tool choice `{name}`"))
            }
            ToolChoice::Named(name) => {
                let tools: Vec<&Tool> = self
                    .tools
                    .iter()
                    .filter(|tool| tool.name == *name)
                    .collect();
                if tools.is_empty() {
                    let names: Vec<String> = self
                        .tools
                        .iter()
                        .map(|tool| format!("'{}'", tool.name))
                        .collect();
                    let names = names.join(", ");
                    return refuse(format!(
                        "Tool choice `{name}` not found in available tools: [{names}]."
                    ));
                }
                Ok(Some(Plan {
                    body: Body::Calls,
                    tools,
                    fixed_names: true,
                    ..plan
                }))
            }
        }
    }

    fn plan_json(&self, plan: Plan<'a>) -> Result<Plan<'a>, ChatError> {
        let only_json = Plan {
            body: Body::Text,
            tools: Vec::new(),
            json_only: true,
            ..plan
        };
        match &self.tool_choice {
            _ if self.tools.is_empty() => Ok(only_json),
            ToolChoice::None => Ok(only_json),
            ToolChoice::Auto => Ok(Plan {
                tools: self.tools.iter().collect(),
                json_only: false,
                body: Body::Auto,
                ..only_json
            }),
            ToolChoice::Required(_) | ToolChoice::Named(_) => {
                Err(ChatError::InvalidRequest(format!(
                    "`{}` response type with tools is only compatible with `tool_choice: auto`",
                    self.response_format.name()
                )))
            }
        }
    }
}

/// The grammar of the replies to `request`; `None` where any reply will do.
///
/// # Errors
/// [`ChatError::InvalidRequest`] for combinations that contradict themselves;
/// [`ChatError::UnsupportedTokenizerFeature`] when the tokenizer is older than version 11.
pub fn render(request: &GrammarRequest<'_>, tekken: &Tekken) -> Result<Option<String>, ChatError> {
    let Some(mut plan) = request.plan()? else {
        return Ok(None);
    };
    if tekken.version() < Version::V11 {
        return Err(ChatError::UnsupportedTokenizerFeature(format!(
            "constrained decoding (tools, JSON) needs a tokenizer of version v11 or later, this one is {}",
            tekken.version().name()
        )));
    }
    // An empty schema counts as none, as in the reference.
    let is_empty = |schema: &Value| schema.as_object().is_some_and(Object::is_empty);
    let schema = plan.schema.take().filter(|schema| !is_empty(schema));
    if schema.is_some() && plan.body == Body::Auto && !plan.tools.is_empty() {
        // Text before a call would allow any answer and defeat the schema.
        plan.body = Body::Calls;
    }
    Rules {
        plan: &plan,
        schema: schema.as_ref(),
        beside: request.beside,
        tekken,
    }
    .text(request.parallel_tool_calls)
    .map(Some)
}

/// What the rules are written from.
struct Rules<'a> {
    plan: &'a Plan<'a>,
    /// The schema that the answer is held to.
    schema: Option<&'a Value>,
    beside: Beside,
    tekken: &'a Tekken,
}

impl Rules<'_> {
    fn text(&self, parallel: bool) -> Result<String, ChatError> {
        let thinks =
            self.tekken.version() >= Version::V13 && self.tekken.special("[THINK]").is_some();
        let is_required = self.schema.is_some() || self.plan.body == Body::Calls;
        let may_think = thinks && !(is_required && self.beside == Beside::Nothing);
        let think = if may_think { "think? " } else { "" };
        let mut rules = Vec::new();
        rules.push(match (self.schema, self.plan.json_only) {
            (None, _) => "start: body".to_owned(),
            (Some(_), true) => "start: json_grammar".to_owned(),
            (Some(_), false) => "start: body | json_grammar".to_owned(),
        });
        if let Some(schema) = self.schema {
            // Only models whose settings say what is wanted think before JSON.
            let think = if self.tekken.version() >= Version::V15 {
                think
            } else {
                ""
            };
            rules.push(format!(
                "json_grammar: {think}SAFE_WS? %json {}",
                self.json(schema)
            ));
        }
        rules.push(match self.plan.body {
            Body::Auto => format!("body: {think}(content | fcalls)"),
            Body::Calls => format!("body: {think}fcalls"),
            Body::Text => format!("body: {think}content"),
        });
        if self.plan.body != Body::Text {
            let before = self.before_calls(thinks);
            let (begin, arguments) = (self.special("[TOOL_CALLS]")?, self.special("[ARGS]")?);
            rules.push(format!(
                "fcalls: {before}{}",
                self.calls(parallel, &begin, &arguments)
            ));
            rules.push(r"pretool_content: (/[ \t\r\n]+/ | /[^{\[\s](.|\n)*/)+".to_owned());
        }
        rules.push(r"content: (/(.|\n)+/)+".to_owned());
        if thinks {
            let (begin, end) = (self.special("[THINK]")?, self.special("[/THINK]")?);
            rules.push(format!("think: {begin} content {end}"));
        }
        rules.push(r"SAFE_WS: /[ \t\r\n]{1,8}/".to_owned());
        Ok(rules.join("\n") + "\n")
    }

    /// The text that may precede the first call.
    fn before_calls(&self, thinks: bool) -> &'static str {
        match (
            thinks,
            self.schema.is_some() && !self.plan.json_only,
            self.plan.body,
        ) {
            (_, false, Body::Calls) if self.beside != Beside::Anything => "",
            (true, true, _) => "pretool_content? ",
            (true, false, _) | (false, _, Body::Auto) => "content? ",
            (false, _, _) => "",
        }
    }

    /// A special token as grammars write it.
    fn special(&self, name: &str) -> Result<String, ChatError> {
        self.tekken
            .special(name)
            .map(|id| format!("<[{id}]>"))
            .ok_or_else(|| {
                ChatError::UnsupportedTokenizerFeature(format!("the tokenizer has no {name} token"))
            })
    }

    /// One alternative for each tool that a call may be to.
    fn calls(&self, parallel: bool, begin: &str, arguments: &str) -> String {
        let plan = self.plan;
        let any_strict = plan.tools.iter().any(|tool| tool.strict);
        let any_object = self.json(&object_schema(&[]));
        let quoted = |tool: &Tool| Value::String(tool.name.clone()).dumps();
        let alternatives: Vec<(String, String)> = if any_strict {
            plan.tools
                .iter()
                .map(|tool| (quoted(tool), self.json(&arguments_schema(tool))))
                .collect()
        } else if plan.fixed_names {
            let names: Vec<String> = plan.tools.iter().map(|tool| quoted(tool)).collect();
            vec![(format!("({})", names.join(" | ")), any_object)]
        } else {
            vec![("/.+/".to_owned(), any_object)]
        };
        let call = |(name, schema): (String, String)| {
            format!("({begin} SAFE_WS? {name} {arguments} SAFE_WS? %json {schema} SAFE_WS?)")
        };
        let one = alternatives
            .into_iter()
            .map(call)
            .collect::<Vec<_>>()
            .join(" | ");
        // Without the outer parentheses an optional text before the calls belongs to the first tool's alternative only. So it
        // is in the reference, and so a reply is judged here too.
        if parallel { format!("({one})+") } else { one }
    }

    /// A schema as a grammar takes it.
    fn json(&self, schema: &Value) -> String {
        // What a schema says of the compiler itself stands.
        const OPTIONS: &str = "x-guidance";
        match schema {
            Value::Object(fields)
                if self.beside != Beside::Anything && fields.get(OPTIONS).is_none() =>
            {
                let schema = dates::real(schema);
                let fields = schema.as_object().unwrap_or(fields);
                let pattern = Value::String(JSON_SPACE.to_owned());
                let options = object(&[("whitespace_pattern", pattern)]);
                let entries = fields
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.clone()))
                    .chain([(OPTIONS.to_owned(), options)]);
                Value::Object(Object::from_entries(entries.collect())).dumps()
            }
            _ => schema.dumps(),
        }
    }
}

/// What a tool's arguments are held to.
fn arguments_schema(tool: &Tool) -> Value {
    match &tool.parameters {
        _ if !tool.strict => object_schema(&[]),
        Value::Object(fields) if !fields.is_empty() => tool.parameters.clone(),
        _ => object_schema(&[
            ("properties", Value::Object(Object::default())),
            ("additionalProperties", Value::Bool(false)),
        ]),
    }
}

fn object(entries: &[(&str, Value)]) -> Value {
    let entries = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    Value::Object(Object::from_entries(entries.collect()))
}

fn object_schema(more: &[(&str, Value)]) -> Value {
    let kind = ("type", Value::String("object".to_owned()));
    object(&[&[kind], more].concat())
}
