//! Dates that there are: a schema's `date` and `date-time` formats, with a pattern that excludes what the grammar compiler's
//! own patterns let through, the year 0 and the 29th of February of common years.

use super::{KEYWORDS, Rule};
use crate::json::{Object, Value};

/// Keywords of later drafts that hold schemas.
const LATER: [(&str, Rule); 2] = [("$defs", Rule::SchemaMap), ("prefixItems", Rule::Schemas)];

/// A date from the year 1 on, as far as the format leaves it open.
const DAY: &str = "(?:(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9][0-9]|[1-9][0-9][0-9][0-9])-(?:(?:0[13-9]|1[0-2])-[0-9][0-9]|02-(?:[01][0-9]|2[0-8]))\
|(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)";

/// The schema with such a pattern beside every format of dates.
pub(crate) fn real(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    let entries = fields.iter().map(|(key, value)| {
        let mut rules = KEYWORDS.iter().chain(&LATER);
        let rule = rules.find(|(keyword, _)| *keyword == key);
        (key.to_owned(), below(rule.map(|(_, rule)| *rule), value))
    });
    let mut entries: Vec<(String, Value)> = entries.collect();
    let rest = match fields.get("format").and_then(Value::as_str) {
        Some("date") => "$",
        Some("date-time") => "[tT].*$",
        _ => return Value::Object(Object::from_entries(entries)),
    };
    let pattern = Value::String(format!("^{DAY}{rest}"));
    let pattern = ("pattern".to_owned(), pattern);
    if fields.get("pattern").is_none() {
        entries.push(pattern);
    } else {
        let more = Value::Object(Object::from_entries(vec![pattern]));
        match entries.iter_mut().find(|(key, _)| key == "allOf") {
            Some((_, Value::Array(all))) => all.push(more),
            _ => entries.push(("allOf".to_owned(), Value::Array(vec![more]))),
        }
    }
    Value::Object(Object::from_entries(entries))
}

/// The value of a keyword, with real dates in the schemas it holds.
fn below(rule: Option<Rule>, value: &Value) -> Value {
    match (rule, value) {
        (Some(Rule::Schema | Rule::SchemaOrSchemas), Value::Object(_)) => real(value),
        (Some(Rule::Schemas | Rule::SchemaOrSchemas), Value::Array(schemas)) => {
            Value::Array(schemas.iter().map(real).collect())
        }
        (Some(Rule::SchemaMap | Rule::PatternMap | Rule::Dependencies), Value::Object(map)) => {
            let entries = map.iter().map(|(key, value)| (key.to_owned(), real(value)));
            Value::Object(Object::from_entries(entries.collect()))
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn real_of(text: &str) -> String {
        real(&json::parse(text).unwrap()).dumps()
    }

    #[test]
    fn formats_of_dates_get_a_pattern_wherever_a_schema_is_and_nowhere_else() {
        let dates = [
            r#"{"format": "date"}"#,
            r#"{"properties": {"day": {"type": "string", "format": "date-time"}}}"#,
            r#"{"items": [{"format": "date"}]}"#,
            r#"{"$defs": {"a": {"anyOf": [{"format": "date"}, true]}}}"#,
            r#"{"dependencies": {"a": {"format": "date"}, "b": ["c"]}}"#,
        ];
        for text in dates {
            assert!(real_of(text).contains("\"pattern\": \"^"), "{text}");
        }
        let others = [
            r#"{"format": "email"}"#,
            r#"{"const": {"format": "date"}}"#,
            r#"{"enum": [{"format": "date"}], "default": {"format": "date"}}"#,
            r#"{"properties": {"format": {"type": "string"}}}"#,
            "true",
        ];
        for text in others {
            assert_eq!(real_of(text), text);
        }
        let both = real_of(r#"{"format": "date", "pattern": "^19"}"#);
        assert!(
            both.contains(r#""pattern": "^19", "allOf": [{"pattern": "^"#),
            "{both}"
        );
    }
}
