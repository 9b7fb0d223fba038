//! Typed reading of an object's fields, with the path of each in the error.
//!
//! The leniencies are those of the reference's schema library: text only from text, booleans also from 0, 1 and a
//! dozen words. Must not know: which fields a message has.

use super::{Form, shown};
use crate::error::ChatError;
use crate::json::{Object, Value};

/// An object of the request and where it is.
pub(super) struct Fields<'a> {
    object: &'a Object,
    path: String,
}

/// The path of an item of a list: `messages[3]`.
pub(super) fn item(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

impl<'a> Fields<'a> {
    /// The fields of `object`, which is at `path`; the body's own path is empty.
    pub(super) fn new(object: &'a Object, path: String) -> Self {
        Self { object, path }
    }

    /// The fields of `value` if it is an object.
    pub(super) fn from_value(value: &'a Value, path: &str) -> Result<Self, ChatError> {
        match value {
            Value::Object(object) => Ok(Self::new(object, path.to_owned())),
            other => Err(mismatch(path, "an object", other)),
        }
    }

    /// The path of a field.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Refuses fields that Mistral's form does not know; OpenAI's form ignores them.
    pub(super) fn allow_only(&self, form: Form, names: &[&str]) -> Result<(), ChatError> {
        match self
            .object
            .iter()
            .find(|(name, _)| form == Form::Mistral && !names.contains(name))
        {
            None => Ok(()),
            Some((name, _)) => Err(ChatError::Validation(format!(
                "{}: unknown field; allowed are {}",
                self.path_of(name),
                names.join(", ")
            ))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    /// A field that may be missing or null.
    pub(super) fn optional(&self, name: &str) -> Option<&'a Value> {
        self.get(name).filter(|value| **value != Value::Null)
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a Value, ChatError> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn required_list(&self, name: &str) -> Result<&'a [Value], ChatError> {
        list(self.required(name)?, &self.path_of(name))
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, ChatError> {
        text(self.required(name)?, &self.path_of(name))
    }

    /// A text field that may be missing or null.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, ChatError> {
        self.optional(name)
            .map(|value| text(value, &self.path_of(name)))
            .transpose()
    }

    /// Refuses a `type` other than `function`; it may be missing.
    pub(super) fn function_type(&self) -> Result<(), ChatError> {
        match self.get("type") {
            None => Ok(()),
            Some(kind) if kind.as_str() == Some("function") => Ok(()),
            Some(other) => Err(self.wrong_type("type", "\"function\"", other)),
        }
    }

    pub(super) fn missing(&self, name: &str) -> ChatError {
        ChatError::Validation(format!("{}: missing", self.path_of(name)))
    }

    pub(super) fn wrong_type(&self, name: &str, expected: &str, got: &Value) -> ChatError {
        mismatch(&self.path_of(name), expected, got)
    }
}

/// The error of a value that is not what its place asks for.
pub(super) fn mismatch(path: &str, expected: &str, got: &Value) -> ChatError {
    ChatError::Validation(format!("{path}: expected {expected}, got {}", shown(got)))
}

pub(super) fn list<'a>(value: &'a Value, path: &str) -> Result<&'a [Value], ChatError> {
    value
        .as_array()
        .ok_or_else(|| mismatch(path, "a list", value))
}

pub(super) fn text(value: &Value, path: &str) -> Result<String, ChatError> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| mismatch(path, "a string", value))
}

/// A boolean as the reference's schema library reads one.
pub(super) fn boolean(value: &Value, path: &str) -> Result<bool, ChatError> {
    const TRUE: [&str; 6] = ["1", "on", "t", "true", "y", "yes"];
    const FALSE: [&str; 6] = ["0", "off", "f", "false", "n", "no"];
    let word = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::Int(digits) => digits.clone(),
        Value::Float(number) if *number == 1.0 => "1".to_owned(),
        Value::Float(number) if *number == 0.0 => "0".to_owned(),
        Value::String(word) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        word if TRUE.contains(&word) => Ok(true),
        word if FALSE.contains(&word) => Ok(false),
        _ => Err(mismatch(path, "a boolean", value)),
    }
}
