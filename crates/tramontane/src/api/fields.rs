//! Reading a request body's fields, each with its type and range, or an error that names it.
//!
//! A null field counts as left out. Must not know: which endpoint the fields belong to.

use crate::error::{ApiError, Kind};
use chat::json::{self, Object, Value};
use std::ops::RangeInclusive;

/// A request body, or an object inside one.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    object: &'a Object,
    path: &'a str,
}

/// Reads a body that is to be a JSON object.
///
/// # Errors
/// [`Kind::Json`] with the position; [`Kind::Field`] for JSON that is no object.
pub fn parse(body: &[u8]) -> Result<Object, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        ApiError::new(
            Kind::Json,
            format!("the request body is not UTF-8 at byte {at}; send JSON in UTF-8"),
        )
    })?;
    match json::parse(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(ApiError::new(
            Kind::Field,
            format!(
                "the request body must be a JSON object, got {}",
                other.kind_name()
            ),
        )),
        Err(error) => Err(ApiError::new(
            Kind::Json,
            format!(
                "the request body is not JSON: {error} ({})",
                position(text, &error)
            ),
        )),
    }
}

/// Line and column of a syntax error.
fn position(text: &str, error: &json::JsonError) -> String {
    let (json::JsonError::Syntax { at, .. } | json::JsonError::Limit { at, .. }) = error;
    let before = text.get(..*at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!("line {line} column {column}")
}

impl<'a> Fields<'a> {
    /// The fields of a body.
    pub fn new(object: &'a Object) -> Self {
        Self { object, path: "" }
    }

    /// A field as it is, unless null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| **value != Value::Null)
    }

    fn wrong(&self, name: &str, expected: &str, got: &Value) -> ApiError {
        let path = match self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        ApiError::field(&path, format!("expected {expected}, got {}", shown(got)))
    }

    /// A number in a range.
    pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::Int(digits) => digits.parse().ok(),
            Value::Float(number) => Some(*number),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                Err(self.wrong(name, &expected, value))
            }
        }
    }

    /// A whole number in a range. `8.0` is one too, as it is for most clients' languages.
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match integer(value) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = match *range.end() {
                    i64::MAX => format!("a whole number of at least {}", range.start()),
                    end => format!("a whole number from {} to {end}", range.start()),
                };
                Err(self.wrong(name, &expected, value))
            }
        }
    }

    /// A count, from 0 or 1 up.
    pub fn count(&self, name: &str, least: i64) -> Result<Option<usize>, ApiError> {
        let number = self.integer(name, least..=i64::MAX)?;
        Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    /// A seed: any whole number that 64 bits can hold, signed or not.
    pub fn seed(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let seed = match value {
            Value::Int(digits) => digits
                .parse::<u64>()
                .ok()
                .or_else(|| digits.parse::<i64>().ok().map(|n| n as u64)),
            _ => None,
        };
        seed.map(Some)
            .ok_or_else(|| self.wrong(name, "a whole number of 64 bits", value))
    }

    /// True or false.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(name, "true or false", other)),
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "a string", other)),
        }
    }

    /// A text, or a list of texts; at most so many.
    pub fn texts(&self, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let expected = format!("a string or a list of at most {most} strings");
        let texts: Option<Vec<String>> = match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(texts) if texts.len() <= most => texts
                .iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        texts.ok_or_else(|| self.wrong(name, &expected, value))
    }

    /// An object.
    pub fn object(&self, name: &'a str) -> Result<Option<Fields<'a>>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Fields { object, path: name })),
            Some(other) => Err(self.wrong(name, "an object", other)),
        }
    }

    /// Refuses a field that is given and means something, because it would have no effect.
    pub fn refuse(
        &self,
        name: &str,
        harmless: impl Fn(&Value) -> bool,
        why: &str,
    ) -> Result<(), ApiError> {
        match self.get(name) {
            Some(value) if !harmless(value) => Err(ApiError::field(name, why)),
            _ => Ok(()),
        }
    }
}

/// A whole number that 64 bits can hold.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(digits) => digits.parse().ok(),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

/// A value for an error message, cut off where it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Array(_) | Value::Object(_) => value.kind_name().to_owned(),
        value => {
            let text = value.dumps();
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}
