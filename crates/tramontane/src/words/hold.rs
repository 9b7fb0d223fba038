//! What a reply is held to: the maker's grammars for tools and JSON, or a pattern, a choice or a grammar of the client's.
//!
//! Must not know: masks, tokens other than the two that bracket a thought, or where the wish came from.

use chat::format::grammar::{ResponseFormat, ToolChoice};
use chat::json::write_string;
use chat::tekken::Version;
use chat::{ChatError, Tekken};

/// What a reply is held to.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// The maker's grammar for what the request says of tools and JSON; with neither, none.
    Protocol {
        /// Which tools to call.
        tool_choice: ToolChoice,
        /// Whether several calls may follow each other.
        parallel_tool_calls: bool,
        /// The form of an answer.
        response_format: ResponseFormat,
    },
    /// An answer that matches this regular expression as a whole.
    Regex(String),
    /// One of these answers.
    Choice(Vec<String>),
    /// An answer by this grammar, in llguidance's Lark.
    Lark(String),
}

impl Default for Hold {
    fn default() -> Self {
        Hold::Protocol {
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            response_format: ResponseFormat::Text,
        }
    }
}

impl Hold {
    /// Whether it is the maker's grammar and asks for nothing.
    pub fn is_free(&self) -> bool {
        matches!(
            self,
            Hold::Protocol {
                tool_choice: ToolChoice::Auto | ToolChoice::None,
                response_format: ResponseFormat::Text,
                ..
            }
        )
    }

    /// The client's own grammar in Lark, a thought allowed before it where the model can think and `thinks`; `None` for
    /// the maker's.
    ///
    /// # Errors
    /// An empty expression, choice or grammar.
    pub fn lark(&self, tekken: &Tekken, thinks: bool) -> Result<Option<String>, ChatError> {
        let empty = |what: &str| {
            Err(ChatError::InvalidRequest(format!(
                "{what} is empty; leave it out"
            )))
        };
        let answer = match self {
            Hold::Protocol { .. } => return Ok(None),
            Hold::Lark(grammar) if grammar.trim().is_empty() => return empty("the grammar"),
            // A grammar of the client's own says itself what may come first.
            Hold::Lark(grammar) => return Ok(Some(grammar.clone())),
            Hold::Regex(regex) if regex.is_empty() => return empty("the regular expression"),
            Hold::Regex(regex) => format!("/{}/", regex_literal(regex)),
            Hold::Choice(choices) if choices.iter().all(String::is_empty) => {
                return empty("the choice");
            }
            Hold::Choice(choices) => {
                let quoted = choices.iter().map(|choice| {
                    let mut text = String::new();
                    write_string(choice, &mut text);
                    text
                });
                quoted.collect::<Vec<_>>().join(" | ")
            }
        };
        let thought = match (tekken.special("[THINK]"), tekken.special("[/THINK]")) {
            (Some(begin), Some(end)) if thinks && tekken.version() >= Version::V13 => {
                Some((begin, end))
            }
            _ => None,
        };
        Ok(Some(match thought {
            None => format!("start: answer\nanswer: {answer}\n"),
            Some((begin, end)) => format!(
                "start: think? answer\nanswer: {answer}\nthink: <[{begin}]> thought <[{end}]>\nthought: (/(.|\\n)+/)+\n"
            ),
        }))
    }
}

/// A regular expression between the slashes of a Lark literal.
fn regex_literal(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len() + 8);
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push('\\');
                match chars.next() {
                    Some('\n') => out.push('n'),
                    Some(escaped) => out.push(escaped),
                    None => {}
                }
            }
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_stays_inside_its_slashes() {
        assert_eq!(regex_literal(r"a/b\/c"), r"a\/b\/c");
        assert_eq!(regex_literal("x\ny"), r"x\ny");
        assert_eq!(regex_literal(r"\d+\\"), r"\d+\\");
    }
}
