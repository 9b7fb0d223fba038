//! JSON as Python's `json` module reads and writes it, because tools, arguments and settings reach the prompt as
//! the text that `json.dumps(…, ensure_ascii=False)` would give.
//!
//! `serde_json` differs where it matters: integers of any size, `NaN` and `Infinity`, floats with Python's exponent
//! form. Must not know: requests, messages, tokens.

mod parse;

pub use parse::{JsonError, MAX_DEPTH, MAX_INT_DIGITS, parse};

/// A JSON value. Objects keep their keys in the order of first appearance.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of any size, as its decimal digits with a leading `-` if negative, without leading zeros.
    Int(String),
    /// A number with a fraction or an exponent; also `NaN` and the infinities.
    Float(f64),
    /// A text. Escapes of unpaired surrogates, which no text can hold, became U+FFFD: that is also what the reference
    /// tokenizer makes of them.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// A JSON object: entries in the order of first appearance, each key once with its last value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    entries: Vec<(String, Value)>,
}

impl Object {
    /// An object of these entries. The caller gives each key once.
    pub fn from_entries(entries: Vec<(String, Value)>) -> Self {
        Self { entries }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Value {
    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list, if this is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// What this is, for messages: "a string", "an object", and so on.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The value as `json.dumps(value, ensure_ascii=False)` writes it: separators `", "` and `": "`.
    pub fn dumps(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Appends [`Value::dumps`] to `out`.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) => write_float(*number, out),
            Self::String(text) => write_string(text, out),
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(object) => {
                out.push('{');
                for (index, (key, value)) in object.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string: quotes, backslashes and control characters escaped, everything else literal.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends `number` as Python's `repr` writes a float: the shortest digits that read back the same, in exponent form
/// when the exponent is under -4 or over 15.
fn write_float(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("NaN");
        return;
    }
    if number.is_sign_negative() {
        out.push('-');
    }
    if number.is_infinite() {
        out.push_str("Infinity");
        return;
    }
    let (digits, exponent) = shortest_digits(number.abs());
    if !(-4..16).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!(
            "{first}{point}{rest}e{sign}{:02}",
            exponent.unsigned_abs()
        ));
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n(
            '0',
            exponent.unsigned_abs() as usize - 1,
        ));
        out.push_str(&digits);
    } else {
        let whole = exponent.unsigned_abs() as usize + 1;
        let digits = format!("{digits:0<whole$}");
        let (whole, fraction) = digits.split_at(whole);
        out.push_str(whole);
        out.push('.');
        out.push_str(if fraction.is_empty() { "0" } else { fraction });
    }
}

/// The fewest decimal digits that read back as `number`, and the power of ten of the first. Of two that are equally
/// near, Python takes the even one and Rust the larger: so the digits are rounded again, exactly, to their count.
fn shortest_digits(number: f64) -> (String, i32) {
    let shortest = format!("{number:e}");
    let num_digits = shortest
        .bytes()
        .take_while(|byte| *byte != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    let rounded = format!("{number:.*e}", num_digits - 1);
    let chosen = if rounded.parse() == Ok(number) {
        rounded
    } else {
        shortest
    };
    let (mantissa, exponent) = chosen.split_once('e').unwrap_or((&chosen, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads and writes again, as Python's `json.dumps(json.loads(text), ensure_ascii=False)`.
    fn round(text: &str) -> String {
        parse(text).map_or_else(|error| format!("error: {error}"), |value| value.dumps())
    }

    #[test]
    fn numbers_are_written_as_python_does() {
        let table = [
            ("1e16", "1e+16"),
            ("0.00001", "1e-05"),
            ("1E5", "100000.0"),
            ("1.50", "1.5"),
            ("-0.0", "-0.0"),
            ("-0", "0"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
            ("NaN", "NaN"),
            ("1e15", "1000000000000000.0"),
            ("123456789012345678", "123456789012345678"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("0.0001", "0.0001"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("2.5e-7", "2.5e-07"),
            ("0.1", "0.1"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("-1477260494497297.25", "-1477260494497297.2"),
            ("0.0", "0.0"),
            ("-1.5e-5", "-1.5e-05"),
            ("120", "120"),
            ("120.0", "120.0"),
            ("0.00012", "0.00012"),
        ];
        for (text, expected) in table {
            assert_eq!(round(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_keep_what_is_not_ascii_and_escape_the_rest() {
        assert_eq!(
            round(r#""é\u00e9\ud83d\ude00/\/\u007f""#),
            "\"éé😀//\u{7f}\""
        );
        assert_eq!(
            round(r#""\u0000\u001F\b\f\n\r\t\"\\""#),
            r#""\u0000\u001f\b\f\n\r\t\"\\""#
        );
    }

    #[test]
    fn objects_keep_first_place_and_last_value() {
        assert_eq!(
            round(r#" { "b" : 1,"a":2 , "b":[ ] , "c":{ } } "#),
            r#"{"b": [], "a": 2, "c": {}}"#
        );
        let many: Vec<String> = (0..100).map(|i| format!("\"k{}\": {i}", i % 50)).collect();
        let Ok(Value::Object(object)) = parse(&format!("{{{}}}", many.join(","))) else {
            panic!("an object")
        };
        assert_eq!(object.len(), 50);
        assert_eq!(object.get("k7"), Some(&Value::Int("57".into())));
    }
}
