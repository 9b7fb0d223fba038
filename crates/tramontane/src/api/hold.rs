//! What a request holds its reply to: tools and `response_format` of OpenAI and Mistral, `structured_outputs` and
//! `guided_*` of vLLM.
//!
//! Must not know: tokens, masks.

use super::fields::Fields;
use crate::error::{ApiError, Dialect};
use crate::words::Hold;
use chat::format::grammar::{ResponseFormat, ToolChoice};
use chat::json::{self, Object, Value};

/// What the reply is held to.
///
/// # Errors
/// Fields of the wrong type, more than one wish, or a schema that is none.
pub fn choose(fields: Fields<'_>, dialect: Dialect) -> Result<Hold, ApiError> {
    for (name, instead) in [("functions", "tools"), ("function_call", "tool_choice")] {
        fields.refuse(
            name,
            |_| false,
            &format!("is no longer supported; use {instead}"),
        )?;
    }
    let response_format = response_format(fields, dialect)?;
    let tool_choice = ToolChoice::from_json(fields.get("tool_choice"))?;
    let has_tools = fields
        .get("tools")
        .and_then(Value::as_array)
        .is_some_and(|tools| !tools.is_empty());
    match client_grammar(fields)? {
        None => Ok(Hold::Protocol {
            tool_choice,
            parallel_tool_calls: fields.boolean("parallel_tool_calls")?.unwrap_or(true),
            response_format,
        }),
        Some((name, _)) if response_format != ResponseFormat::Text => Err(ApiError::field(
            name,
            "cannot be combined with response_format; give one of them",
        )),
        Some((name, _)) if has_tools && tool_choice != ToolChoice::None => Err(ApiError::field(
            name,
            "cannot be combined with tools; leave one of them out, or set tool_choice to none",
        )),
        Some((_, hold)) => Ok(hold),
    }
}

/// `response_format`. In OpenAI's form a JSON schema is enforced unless `strict` is false; Mistral's enforces it only if
/// `strict` is true.
fn response_format(fields: Fields<'_>, dialect: Dialect) -> Result<ResponseFormat, ApiError> {
    let given = fields.get("response_format");
    let format = ResponseFormat::from_json(given)?;
    let says_strict = || {
        let named = given?.as_object()?.get("json_schema")?.as_object()?;
        named.get("strict").filter(|strict| **strict != Value::Null)
    };
    Ok(match format {
        ResponseFormat::JsonSchema { schema, .. }
            if dialect == Dialect::OpenAi && says_strict().is_none() =>
        {
            ResponseFormat::JsonSchema {
                schema,
                strict: true,
            }
        }
        format => format,
    })
}

/// vLLM's ways to say so, with the name of the one that is used.
fn client_grammar(fields: Fields<'_>) -> Result<Option<(&'static str, Hold)>, ApiError> {
    let mut found: Vec<(&'static str, Hold)> = Vec::new();
    let outputs = fields.object("structured_outputs")?;
    let places = [
        (
            Some(fields),
            [
                "guided_json",
                "guided_regex",
                "guided_choice",
                "guided_grammar",
                "guided_json_object",
            ],
        ),
        (
            outputs,
            ["json", "regex", "choice", "grammar", "json_object"],
        ),
    ];
    for (place, [schema, regex, choice, grammar, object]) in places {
        let Some(place) = place else { continue };
        if let Some(value) = place.get(schema) {
            found.push((schema, by_schema(value, schema)?));
        }
        if let Some(text) = place.text(regex)? {
            found.push((regex, Hold::Regex(text.to_owned())));
        }
        if place.get(choice).is_some() {
            found.push((choice, Hold::Choice(place.texts(choice, 10_000)?)));
        }
        if let Some(text) = place.text(grammar)? {
            found.push((grammar, Hold::Lark(text.to_owned())));
        }
        if place.boolean(object)? == Some(true) {
            found.push((object, json_hold(ResponseFormat::JsonObject)));
        }
    }
    if let Some(outputs) = outputs {
        outputs.refuse(
            "structural_tag",
            |_| false,
            "is not supported; use json, regex, choice or grammar",
        )?;
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => {
            let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
            Err(ApiError::field(
                names[0],
                format!("{} exclude one another; give one", names.join(" and ")),
            ))
        }
    }
}

/// A schema as an object, or as its JSON text.
fn by_schema(value: &Value, name: &str) -> Result<Hold, ApiError> {
    let schema = match value {
        Value::String(text) => {
            json::parse(text).map_err(|error| ApiError::field(name, format!("no JSON: {error}")))?
        }
        other => other.clone(),
    };
    let named = [("schema", schema), ("strict", Value::Bool(true))];
    let format = [
        ("type", Value::String("json_schema".to_owned())),
        ("json_schema", object(named)),
    ];
    let format = ResponseFormat::from_json(Some(&object(format)))
        .map_err(|error| ApiError::field(name, error))?;
    Ok(json_hold(format))
}

fn json_hold(response_format: ResponseFormat) -> Hold {
    Hold::Protocol {
        tool_choice: ToolChoice::None,
        parallel_tool_calls: true,
        response_format,
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Value::Object(Object::from_entries(entries.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::parse;
    use crate::error::Kind;

    fn chosen(body: &str, dialect: Dialect) -> Result<Hold, ApiError> {
        choose(Fields::new(&parse(body.as_bytes())?), dialect)
    }

    #[test]
    fn vllms_ways_are_understood_and_exclude_one_another() {
        let regex = chosen(r#"{"guided_regex": "a+"}"#, Dialect::OpenAi);
        assert_eq!(regex, Ok(Hold::Regex("a+".to_owned())));
        let choice = chosen(
            r#"{"structured_outputs": {"choice": ["a", "b"]}}"#,
            Dialect::OpenAi,
        );
        assert_eq!(
            choice,
            Ok(Hold::Choice(vec!["a".to_owned(), "b".to_owned()]))
        );
        let text = chosen(
            r#"{"guided_json": "{\"type\": \"object\"}"}"#,
            Dialect::OpenAi,
        )
        .unwrap();
        let object = chosen(
            r#"{"structured_outputs": {"json": {"type": "object"}}}"#,
            Dialect::OpenAi,
        )
        .unwrap();
        assert_eq!(text, object);
        for body in [
            r#"{"guided_regex": "a", "guided_choice": ["a"]}"#,
            r#"{"guided_regex": "a", "response_format": {"type": "json_object"}}"#,
            r#"{"guided_regex": 1}"#,
            r#"{"guided_json": "{"}"#,
            r#"{"functions": []}"#,
        ] {
            assert_eq!(
                chosen(body, Dialect::OpenAi).unwrap_err().kind,
                Kind::Field,
                "{body}"
            );
        }
    }

    #[test]
    fn a_schema_is_enforced_unless_told_otherwise_where_that_is_the_custom() {
        let strict = |body: &str, dialect| match chosen(body, dialect).unwrap() {
            Hold::Protocol {
                response_format: ResponseFormat::JsonSchema { strict, .. },
                ..
            } => strict,
            other => panic!("{other:?}"),
        };
        let silent = r#"{"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}"#;
        assert!(strict(silent, Dialect::OpenAi));
        assert!(!strict(silent, Dialect::Mistral));
        let loose = silent.replace("\"name\"", "\"strict\": false, \"name\"");
        assert!(!strict(&loose, Dialect::OpenAi));
    }
}
