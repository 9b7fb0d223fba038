//! Reading JSON with the grammar, the limits and the leniencies of Python's `json.loads`.
//!
//! Must not know: what the values mean.

use std::collections::HashMap;

use super::{Object, Value};

/// The deepest nesting that is read. Python stops at its recursion limit of 1000 frames, of which its caller has a few:
/// tool-call arguments of depth 984 are the deepest that mistral-common 1.13.1 encodes.
pub const MAX_DEPTH: usize = 984;

/// The longest integer that is read, in digits: Python's default limit for converting text to integers.
pub const MAX_INT_DIGITS: usize = 4300;

/// How many entries an object may have before duplicate keys are looked up in a map instead of one by one.
const LINEAR_ENTRIES: usize = 16;

/// Why a text was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("{what} at byte {at}")]
    Syntax {
        /// What was expected or found.
        what: &'static str,
        /// The byte offset.
        at: usize,
    },
    /// It is JSON beyond a limit that Python sets too.
    #[error("{what} at byte {at}")]
    Limit {
        /// The limit.
        what: &'static str,
        /// The byte offset.
        at: usize,
    },
}

/// Reads one JSON value and nothing after it but white space.
///
/// # Errors
/// [`JsonError::Syntax`] for what is not JSON, [`JsonError::Limit`] for nesting over [`MAX_DEPTH`] and integers over
/// [`MAX_INT_DIGITS`] digits.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.syntax("extra data after the value"));
    }
    Ok(value)
}

/// A position in the text. All offsets it stops at are character boundaries, because it only steps over whole runs.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn syntax(&self, what: &'static str) -> JsonError {
        JsonError::Syntax { what, at: self.at }
    }

    fn limit(&self, what: &'static str) -> JsonError {
        JsonError::Limit { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over `word` if the text goes on with it.
    fn take(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        const WORDS: [(&str, Value); 6] = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Value::String)
            }
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(self.limit("nesting is too deep")),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            _ => {
                for (word, value) in WORDS {
                    if self.take(word) {
                        return Ok(value);
                    }
                }
                self.number()
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut values = Vec::new();
        self.skip_space();
        if self.take("]") {
            return Ok(Value::Array(values));
        }
        loop {
            self.skip_space();
            values.push(self.value(depth)?);
            self.skip_space();
            if self.take("]") {
                return Ok(Value::Array(values));
            }
            if !self.take(",") {
                return Err(self.syntax("expected , or ]"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        self.skip_space();
        if self.take("}") {
            return Ok(Value::Object(Object { entries }));
        }
        loop {
            self.skip_space();
            if !self.take("\"") {
                return Err(self.syntax("expected a key in double quotes"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(":") {
                return Err(self.syntax("expected : after a key"));
            }
            self.skip_space();
            let value = self.value(depth)?;
            insert(&mut entries, &mut places, key, value);
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(Object { entries }));
            }
            if !self.take(",") {
                return Err(self.syntax("expected , or }"));
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take("-");
        let whole_start = self.at;
        if !self.take("0") && self.digits() == 0 {
            return Err(self.syntax("expected a value"));
        }
        let num_digits = self.at - whole_start;
        let whole_end = self.at;
        let fraction = self.take(".");
        if fraction && self.digits() == 0 {
            return Err(self.syntax("expected digits after the point"));
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if !self.take("+") {
                self.take("-");
            }
            if self.digits() == 0 {
                return Err(self.syntax("expected digits in the exponent"));
            }
        }
        if fraction || exponent {
            let number = self.text[start..self.at]
                .parse()
                .map_err(|_| self.syntax("expected a number"))?;
            return Ok(Value::Float(number));
        }
        if num_digits > MAX_INT_DIGITS {
            return Err(self.limit("an integer has more than 4300 digits"));
        }
        let text = &self.text[start..whole_end];
        Ok(Value::Int(if text == "-0" {
            "0".to_owned()
        } else {
            text.to_owned()
        }))
    }

    /// The text after an opening quote.
    fn string(&mut self) -> Result<String, JsonError> {
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < b' ');
            let Some(plain) = plain else {
                return Err(self.syntax("a string is not closed"));
            };
            out.push_str(&rest[..plain]);
            self.at += plain;
            if self.take("\"") {
                return Ok(out);
            }
            if !self.take("\\") {
                return Err(self.syntax("a control character in a string"));
            }
            let escape = self
                .peek()
                .ok_or_else(|| self.syntax("a string is not closed"))?;
            let plain = match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    self.at += 1;
                    out.push(self.unicode_escape()?);
                    continue;
                }
                _ => return Err(self.syntax("an unknown escape")),
            };
            self.at += 1;
            out.push(plain);
        }
    }

    /// The character of an escape whose `\u` was just read, with its second half if it is a pair; U+FFFD for
    /// an unpaired surrogate.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let mut code = self.hex4()?;
        if (0xD800..0xDC00).contains(&code) {
            let after_first = self.at;
            if self.take("\\u") {
                let second = self.hex4()?;
                if (0xDC00..0xE000).contains(&second) {
                    code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
                } else {
                    self.at = after_first;
                }
            }
        }
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let mut code = 0;
        for &byte in digits.ok_or_else(|| self.syntax("expected four hex digits"))? {
            let digit = char::from(byte).to_digit(16);
            code = code * 16 + digit.ok_or_else(|| self.syntax("expected four hex digits"))?;
        }
        self.at += 4;
        Ok(code)
    }
}

/// Adds an entry, or replaces the value of a key that is there already. `places` is filled once the object is large,
/// so that a body of many keys costs linear time.
fn insert(
    entries: &mut Vec<(String, Value)>,
    places: &mut HashMap<String, usize>,
    key: String,
    value: Value,
) {
    if entries.len() == LINEAR_ENTRIES && places.is_empty() {
        places.extend(
            entries
                .iter()
                .enumerate()
                .map(|(place, (key, _))| (key.clone(), place)),
        );
    }
    let place = if places.is_empty() {
        entries.iter().position(|(name, _)| *name == key)
    } else {
        places.get(&key).copied()
    };
    match place {
        Some(place) => entries[place].1 = value,
        None => {
            if !places.is_empty() {
                places.insert(key.clone(), entries.len());
            }
            entries.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_refuses_is_refused() {
        let bad = [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "nul",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "[1 2]",
            "{1:2}",
            "{\"a\" 1}",
            "1 2",
            "\u{feff}1",
            "-",
            "1e",
            "\u{a0}1",
            "\"\\ud83d\\uzzzz\"",
        ];
        for text in bad {
            assert!(
                matches!(parse(text), Err(JsonError::Syntax { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn surrogates_pair_up_or_are_replaced() {
        let table = [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""a\ud83dx""#, "a\u{fffd}x"),
            (r#""\ud83d\ud83d\ude00\udc00""#, "\u{fffd}😀\u{fffd}"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(Value::String(expected.into())), "{text}");
        }
    }

    #[test]
    fn depth_and_digits_are_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(
            parse(&nested(MAX_DEPTH + 1)),
            Err(JsonError::Limit { .. })
        ));
        assert!(matches!(
            parse(&"[".repeat(1_000_000)),
            Err(JsonError::Limit { .. })
        ));
        assert!(parse(&"9".repeat(MAX_INT_DIGITS)).is_ok());
        assert!(matches!(
            parse(&"9".repeat(MAX_INT_DIGITS + 1)),
            Err(JsonError::Limit { .. })
        ));
    }
}
