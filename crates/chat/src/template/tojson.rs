//! The `tojson` filter: Python's `json.dumps` with the options that templates use.
//!
//! Must not know: what is written.

use minijinja::value::{Kwargs, Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::json;

/// Deeper values are refused: no request has any, but a template can build them.
const MAX_DEPTH: usize = 200;

/// `tojson(value, ensure_ascii=false, indent=none, separators=none, sort_keys=false)`
pub(super) fn tojson(
    state: &mut State<'_, '_>,
    value: Jinja,
    ensure_ascii: Option<bool>,
    options: Kwargs,
) -> Result<Jinja, Error> {
    let ensure_ascii = match ensure_ascii {
        Some(flag) => flag,
        None => options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
    };
    let indent = options.get::<Option<usize>>("indent")?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let default_item = if indent.is_some() { "," } else { ", " };
    let (item_separator, key_separator) = match separators.as_deref() {
        None => (default_item, ": "),
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => return Err(wrong("tojson's separators: expected two strings")),
    };
    if indent.is_some_and(|width| width > 64) {
        return Err(wrong("tojson's indent: expected at most 64"));
    }
    let mut writer = Writer {
        state,
        out: String::new(),
        ensure_ascii,
        indent,
        item_separator,
        key_separator,
        sort_keys,
    };
    writer.value(&value, 0)?;
    Ok(Jinja::from(writer.out))
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

struct Writer<'a, 'template, 'env> {
    state: &'a mut State<'template, 'env>,
    out: String,
    ensure_ascii: bool,
    indent: Option<usize>,
    item_separator: &'a str,
    key_separator: &'a str,
    sort_keys: bool,
}

impl Writer<'_, '_, '_> {
    /// One value. Each is paid for as it is written: a small value may hold the same list very many times.
    fn value(&mut self, value: &Jinja, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(wrong("tojson: the value is nested too deeply"));
        }
        self.state
            .consume_fuel(1 + (depth * self.indent.unwrap_or(0)) as u64 / 64)?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.number(value)?,
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
                self.list(&items, depth)?;
            }
            ValueKind::Map => self.object(value, depth)?,
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson: {other} is not JSON"),
                ));
            }
        }
        Ok(())
    }

    fn number(&mut self, value: &Jinja) -> Result<(), Error> {
        if value.is_integer() {
            self.out.push_str(&value.to_string());
        } else {
            json::Value::Float(f64::try_from(value.clone())?).write(&mut self.out);
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(text.len() as u64 / 16)?;
        if !self.ensure_ascii {
            json::write_string(text, &mut self.out);
            return Ok(());
        }
        let mut literal = String::new();
        json::write_string(text, &mut literal);
        for letter in literal.chars() {
            if matches!(letter, ' '..='~') {
                self.out.push(letter);
            } else {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    self.out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Jinja], depth: usize) -> Result<(), Error> {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            self.before_item(index, depth + 1);
            self.value(item, depth + 1)?;
        }
        self.after_items(items.len(), depth);
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, object: &Jinja, depth: usize) -> Result<(), Error> {
        let mut entries = Vec::new();
        for key in object.try_iter()?.checked() {
            let key = key?;
            let value = object.get_item(&key)?;
            entries.push((key_text(&key)?, value));
        }
        if self.sort_keys {
            entries.sort_by(|left, right| left.0.cmp(&right.0));
        }
        self.out.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            self.before_item(index, depth + 1);
            self.string(key)?;
            self.out.push_str(self.key_separator);
            self.value(value, depth + 1)?;
        }
        self.after_items(entries.len(), depth);
        self.out.push('}');
        Ok(())
    }

    fn before_item(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push_str(self.item_separator);
        }
        self.line(depth);
    }

    fn after_items(&mut self, count: usize, depth: usize) {
        if count > 0 {
            self.line(depth);
        }
    }

    fn line(&mut self, depth: usize) {
        if let Some(width) = self.indent {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(width * depth));
        }
    }
}

/// A key as `json.dumps` writes it: text, or a scalar's JSON.
fn key_text(key: &Jinja) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if key.is_integer() => Ok(key.to_string()),
        ValueKind::Number => Ok(json::Value::Float(f64::try_from(key.clone())?).dumps()),
        _ => Err(wrong(
            "tojson: keys must be strings, numbers, booleans or none",
        )),
    }
}
