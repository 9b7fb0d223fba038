//! Whether a JSON value is a Draft 7 JSON schema, as Python's `jsonschema` judges it against the draft's meta-schema.
//!
//! A table of keywords stands for the meta-schema; patterns must be regular expressions of Python's. Must not know:
//! tools, or how a schema constrains anything.

pub(crate) mod dates;
mod pattern;

use std::collections::HashSet;

use crate::json::{Object, Value};

/// How deep schemas may nest in one another. The reference's recursion ends at 163 levels of `properties`.
const MAX_DEPTH: usize = 163;

/// What a keyword's value must be.
#[derive(Clone, Copy)]
enum Rule {
    Text,
    /// A text that Python's `re` compiles.
    Pattern,
    Boolean,
    Number,
    /// A number over 0.
    Positive,
    /// A whole number from 0; `2.0` is whole.
    Count,
    List,
    /// A list of texts, none twice.
    Texts,
    Schema,
    /// A list of at least one schema.
    Schemas,
    /// A schema or a list of at least one.
    SchemaOrSchemas,
    /// An object whose values are schemas.
    SchemaMap,
    /// The same, its keys being patterns.
    PatternMap,
    /// An object whose values are schemas or lists of texts.
    Dependencies,
    /// The name of a type, or a list of at least one, none twice.
    Type,
}

/// The meta-schema: every other keyword may be anything.
const KEYWORDS: [(&str, Rule); 43] = [
    ("$id", Rule::Text),
    ("$schema", Rule::Text),
    ("$ref", Rule::Text),
    ("$comment", Rule::Text),
    ("title", Rule::Text),
    ("description", Rule::Text),
    ("readOnly", Rule::Boolean),
    ("examples", Rule::List),
    ("multipleOf", Rule::Positive),
    ("maximum", Rule::Number),
    ("exclusiveMaximum", Rule::Number),
    ("minimum", Rule::Number),
    ("exclusiveMinimum", Rule::Number),
    ("maxLength", Rule::Count),
    ("minLength", Rule::Count),
    ("pattern", Rule::Pattern),
    ("additionalItems", Rule::Schema),
    ("items", Rule::SchemaOrSchemas),
    ("maxItems", Rule::Count),
    ("minItems", Rule::Count),
    ("uniqueItems", Rule::Boolean),
    ("contains", Rule::Schema),
    ("maxProperties", Rule::Count),
    ("minProperties", Rule::Count),
    ("required", Rule::Texts),
    ("additionalProperties", Rule::Schema),
    ("definitions", Rule::SchemaMap),
    ("properties", Rule::SchemaMap),
    ("patternProperties", Rule::PatternMap),
    ("dependencies", Rule::Dependencies),
    ("propertyNames", Rule::Schema),
    ("enum", Rule::List),
    ("type", Rule::Type),
    ("format", Rule::Text),
    ("contentMediaType", Rule::Text),
    ("contentEncoding", Rule::Text),
    ("if", Rule::Schema),
    ("then", Rule::Schema),
    ("else", Rule::Schema),
    ("allOf", Rule::Schemas),
    ("anyOf", Rule::Schemas),
    ("oneOf", Rule::Schemas),
    ("not", Rule::Schema),
];

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Accepts a schema.
///
/// # Errors
/// Where in it what is wrong, as `.properties.city.type: …`, to be put behind the schema's own path.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    check_schema(schema, 0)
}

fn check_schema(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!(": schemas nest deeper than {MAX_DEPTH}"));
    }
    let object = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(object) => object,
        other => return Err(expected("a schema (an object or a boolean)", other)),
    };
    for (keyword, rule) in KEYWORDS {
        if let Some(value) = object.get(keyword) {
            check_rule(rule, value, depth).map_err(|reason| format!(".{keyword}{reason}"))?;
        }
    }
    Ok(())
}

fn expected(what: &str, got: &Value) -> String {
    format!(": expected {what}, got {}", got.kind_name())
}

fn check_rule(rule: Rule, value: &Value, depth: usize) -> Result<(), String> {
    let below = depth + 1;
    match (rule, value) {
        (Rule::Text | Rule::Pattern, Value::String(text)) => {
            if matches!(rule, Rule::Pattern) {
                check_pattern(text)
            } else {
                Ok(())
            }
        }
        (Rule::Boolean, Value::Bool(_)) | (Rule::List, Value::Array(_)) => Ok(()),
        (Rule::Number, Value::Int(_) | Value::Float(_)) => Ok(()),
        (Rule::Positive, Value::Int(digits)) if digits != "0" && !digits.starts_with('-') => Ok(()),
        (Rule::Positive, Value::Float(number)) if *number > 0.0 || number.is_nan() => Ok(()),
        (Rule::Count, Value::Int(digits)) if !digits.starts_with('-') => Ok(()),
        (Rule::Count, Value::Float(number)) if *number >= 0.0 && number.fract() == 0.0 => Ok(()),
        (Rule::Texts, Value::Array(texts)) => check_texts(texts, None),
        (Rule::Schema, schema) => check_schema(schema, below),
        (Rule::Schemas, Value::Array(schemas)) => check_schemas(schemas, below),
        (Rule::SchemaOrSchemas, Value::Array(schemas)) => check_schemas(schemas, below),
        (Rule::SchemaOrSchemas, schema) => check_schema(schema, below),
        (Rule::SchemaMap, Value::Object(map)) => check_map(map, Rule::Schema, depth),
        (Rule::PatternMap, Value::Object(map)) => {
            map.iter().try_for_each(|(key, _)| check_pattern(key))?;
            check_map(map, Rule::Schema, depth)
        }
        (Rule::Dependencies, Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
            let rule = if matches!(value, Value::Array(_)) {
                Rule::Texts
            } else {
                Rule::Schema
            };
            check_rule(rule, value, depth).map_err(|reason| format!(".{key}{reason}"))
        }),
        (Rule::Type, Value::String(name)) if TYPES.contains(&name.as_str()) => Ok(()),
        (Rule::Type, Value::Array(names)) if !names.is_empty() => check_texts(names, Some(&TYPES)),
        (rule, value) => Err(expected(rule_name(rule), value)),
    }
}

fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Text => "a string",
        Rule::Pattern => "a regular expression",
        Rule::Boolean => "a boolean",
        Rule::Number => "a number",
        Rule::Positive => "a number over 0",
        Rule::Count => "a whole number from 0",
        Rule::List => "a list",
        Rule::Texts => "a list of different strings",
        Rule::Schema | Rule::SchemaOrSchemas => "a schema",
        Rule::Schemas => "a list of at least one schema",
        Rule::SchemaMap | Rule::PatternMap | Rule::Dependencies => "an object of schemas",
        Rule::Type => {
            "one of array, boolean, integer, null, number, object, string, or a list of them"
        }
    }
}

fn check_pattern(text: &str) -> Result<(), String> {
    pattern::check(text)
        .map_err(|reason| format!(": {text:?} is not a regular expression of Python's: {reason}"))
}

fn check_schemas(schemas: &[Value], depth: usize) -> Result<(), String> {
    if schemas.is_empty() {
        return Err(": expected at least one schema, got an empty list".to_owned());
    }
    schemas.iter().enumerate().try_for_each(|(index, schema)| {
        check_schema(schema, depth).map_err(|reason| format!("[{index}]{reason}"))
    })
}

fn check_map(map: &Object, rule: Rule, depth: usize) -> Result<(), String> {
    map.iter().try_for_each(|(key, value)| {
        check_rule(rule, value, depth).map_err(|reason| format!(".{key}{reason}"))
    })
}

/// Different texts, out of `allowed` if that is given.
fn check_texts(values: &[Value], allowed: Option<&[&str]>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        match value.as_str() {
            Some(text) if allowed.is_some_and(|allowed| !allowed.contains(&text)) => {
                return Err(format!("[{index}]: {text:?} is not known here"));
            }
            Some(text) if !seen.insert(text) => {
                return Err(format!("[{index}]: {text:?} is there twice"));
            }
            Some(_) => {}
            None => return Err(format!("[{index}]{}", expected("a string", value))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn agrees_with_the_meta_schema() {
        let good = [
            r#"{}"#,
            r#"true"#,
            r##"{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"]}"##,
            r#"{"minLength":1.0,"maxItems":1e3,"required":[],"enum":[],"enum":[1,1],"const":null}"#,
            r#"{"dependencies":{"a":[],"b":{}},"items":true,"minimum":NaN,"multipleOf":NaN}"#,
            r#"{"$defs":{"a":1},"nullable":3,"writeOnly":3,"$id":"::","pattern":"^[a-z]+$"}"#,
        ];
        let bad = [
            r#"null"#,
            r#"{"type":"obj"}"#,
            r#"{"type":[]}"#,
            r#"{"type":["string","string"]}"#,
            r#"{"minLength":-1}"#,
            r#"{"minLength":true}"#,
            r#"{"maxItems":1e400}"#,
            r#"{"required":["a","a"]}"#,
            r#"{"required":true}"#,
            r#"{"items":[]}"#,
            r#"{"allOf":[]}"#,
            r#"{"anyOf":[1]}"#,
            r#"{"multipleOf":0}"#,
            r#"{"multipleOf":-0.5}"#,
            r#"{"dependencies":{"a":["b","b"]}}"#,
            r#"{"additionalProperties":null}"#,
            r#"{"properties":{"a":{"properties":{"b":3}}}}"#,
            r#"{"pattern":"("}"#,
            r#"{"pattern":"\\p{L}"}"#,
            r#"{"patternProperties":{"(":true}}"#,
        ];
        for text in good {
            assert_eq!(check(&json::parse(text).unwrap()), Ok(()), "{text}");
        }
        for text in bad {
            assert!(check(&json::parse(text).unwrap()).is_err(), "{text}");
        }
        let error = check(&json::parse(bad[16]).unwrap()).unwrap_err();
        assert_eq!(
            error,
            ".properties.a.properties.b: expected a schema (an object or a boolean), got a number"
        );
    }
}
