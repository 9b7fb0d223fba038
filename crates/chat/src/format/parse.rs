//! Replies from token ids: reasoning, content and tool calls, as they stream.
//!
//! Only control *tokens* structure a reply. Text that spells one stays text, bytes never join across one, and every
//! token ends up in exactly one field of the [`Reply`] (the last column), whatever the model writes:
//!
//! | token | where | what happens | counted as |
//! |---|---|---|---|
//! | ordinary | content, thought, call name, arguments | is text there | that field |
//! | `[THINK]` | content, or anywhere in a call (which ends) | a thought begins; several thoughts are joined | control |
//! | `[THINK]` | in a thought (nested) | nothing; the one thought goes on | stray |
//! | `[/THINK]` | in a thought | the thought ends, content goes on | control |
//! | `[/THINK]` | elsewhere | nothing | stray |
//! | none | the reply ends in a thought | all the rest is reasoning; [`Reply::reasoning_closed`] is false | |
//! | `[TOOL_CALLS]` | content, or anywhere in a call (which ends) | a call begins | control |
//! | `[TOOL_CALLS]` | in a thought | nothing: a call that is only thought of is not made | stray |
//! | `[ARGS]` | in a call's name or id | its arguments begin | control |
//! | `[ARGS]` | elsewhere | nothing; in arguments, they go on | stray |
//! | `[CALL_ID]` | in a call's name, version 11 only | the call's id begins; tokens of an ill-formed one are stray | control |
//! | `</s>` | anywhere | the reply ends; what follows is stray | control |
//! | any other special token | anywhere | nothing | stray |
//!
//! - A call cut off in its name, or with no `[ARGS]`, is a call with that name and empty arguments; one cut off in its
//!   arguments has what there is of them. Neither is [`ToolCall::complete`] unless a control token ended it after
//!   `[ARGS]`. Arguments are never repaired or rewritten.
//! - White space around a name belongs to no one. Text after a call's arguments is part of them; after a thought that
//!   follows a call it is content again.
//! - Tokenizers without `[ARGS]` (version 7 and before) write calls as one JSON list after `[TOOL_CALLS]`. If the text up
//!   to the next control token is such a list, it becomes calls when that token comes (an empty one: none); if not, it is
//!   content.
//!
//! The unstreamed reply is the sum of the deltas by construction ([`Reply::apply`]). Must not know: how the tokens were
//! sampled, stop strings, the shape of HTTP replies.

use crate::json::{self, Value};
use crate::tekken::{Decoder, SpecialPolicy, Tekken, Version};
use crate::{ChatError, TokenId};

/// A piece of a reply. Text is never empty and always whole characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More of the thought.
    Reasoning(String),
    /// A thought ended: with `[/THINK]` if `closed`, else with the reply.
    ReasoningEnd {
        /// Whether the model closed it.
        closed: bool,
    },
    /// More of the answer.
    Content(String),
    /// A call whose whole name is known.
    ToolCallStart {
        /// Which call, from 0.
        index: usize,
        /// 9 characters of `[a-zA-Z0-9]`.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// More of a call's arguments, as the model writes them.
    ToolCallArguments {
        /// Which call.
        index: usize,
        /// A part of the JSON text.
        fragment: String,
    },
    /// A call ended.
    ToolCallEnd {
        /// Which call.
        index: usize,
        /// See [`ToolCall::complete`].
        complete: bool,
    },
    /// A special token that means nothing where it stands.
    Stray(TokenId),
}

/// A tool call that the model made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCall {
    /// 9 characters of `[a-zA-Z0-9]`.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model wrote them: JSON, if it did well.
    pub arguments: String,
    /// Whether the call was begun and ended by control tokens, not cut off.
    pub complete: bool,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The thoughts, joined.
    pub reasoning: String,
    /// Whether no thought was left open.
    pub reasoning_closed: bool,
    /// The answer.
    pub content: String,
    /// The calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// Special tokens that meant nothing where they stood, in order.
    pub stray: Vec<TokenId>,
}

impl Reply {
    /// Joins deltas.
    pub fn from_deltas<'a>(deltas: impl IntoIterator<Item = &'a Delta>) -> Self {
        let mut reply = Self {
            reasoning_closed: true,
            ..Self::default()
        };
        for delta in deltas {
            reply.apply(delta);
        }
        reply
    }

    /// Adds one delta. A call's deltas come in order of their indices.
    pub fn apply(&mut self, delta: &Delta) {
        match delta {
            Delta::Reasoning(text) => self.reasoning.push_str(text),
            Delta::ReasoningEnd { closed } => self.reasoning_closed = *closed,
            Delta::Content(text) => self.content.push_str(text),
            Delta::ToolCallStart { id, name, .. } => {
                self.tool_calls.push(ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    ..ToolCall::default()
                });
            }
            Delta::ToolCallArguments { index, fragment } => {
                if let Some(call) = self.tool_calls.get_mut(*index) {
                    call.arguments.push_str(fragment);
                }
            }
            Delta::ToolCallEnd { index, complete } => {
                if let Some(call) = self.tool_calls.get_mut(*index) {
                    call.complete = *complete;
                }
            }
            Delta::Stray(id) => self.stray.push(*id),
        }
    }
}

/// How many tokens went into each field; together, all that were pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenCounts {
    /// Text of thoughts.
    pub reasoning: usize,
    /// Text of the answer.
    pub content: usize,
    /// Names, ids and arguments of calls.
    pub tool_calls: usize,
    /// Control tokens that structured the reply.
    pub control: usize,
    /// Special tokens that meant nothing where they stood, and whatever followed the end.
    pub stray: usize,
}

/// Why a reply is over, as clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// The limit on tokens did.
    Length,
    /// The model ended it after at least one tool call.
    ToolCalls,
}

impl FinishReason {
    /// The reason for a reply with so many calls. A cut-off reply is [`FinishReason::Length`] whatever is in it.
    pub fn of(cut_off: bool, num_tool_calls: usize) -> Self {
        match (cut_off, num_tool_calls) {
            (true, _) => Self::Length,
            (false, 0) => Self::Stop,
            (false, _) => Self::ToolCalls,
        }
    }

    /// The name that APIs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// Where in a reply the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Content,
    Thought,
    CallName,
    CallId,
    Arguments,
    /// Calls as a JSON list, for tokenizers without `[ARGS]`.
    CallList,
    Ended,
}

/// What a special token does in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Think,
    EndThink,
    ToolCalls,
    CallId,
    Args,
    End,
}

const CONTROLS: [(&str, Control); 6] = [
    ("[THINK]", Control::Think),
    ("[/THINK]", Control::EndThink),
    ("[TOOL_CALLS]", Control::ToolCalls),
    ("[CALL_ID]", Control::CallId),
    ("[ARGS]", Control::Args),
    ("</s>", Control::End),
];

/// Parses one reply, token by token.
#[derive(Debug, Clone)]
pub struct ReplyParser {
    controls: Vec<(TokenId, Control)>,
    /// What `[TOOL_CALLS]` begins.
    call_state: State,
    state: State,
    decoder: Decoder,
    /// Text that is not yet sent: a call's name, then its id; or a list of calls.
    name: String,
    call_id: String,
    /// The tokens of the call's id, or of the list: only its end tells where they count.
    held_tokens: Vec<TokenId>,
    num_calls: usize,
    seed: u64,
    counts: TokenCounts,
}

impl ReplyParser {
    /// A parser for one reply. `start_in_thought`: the prompt ends inside an open `[THINK]`. `seed` decides the calls' ids.
    pub fn new(tekken: &Tekken, start_in_thought: bool, seed: u64) -> Self {
        let known = |control| control != Control::CallId || tekken.version() == Version::V11;
        let controls = CONTROLS
            .iter()
            .filter(|(_, control)| known(*control))
            .filter_map(|&(name, control)| Some((tekken.special(name)?, control)));
        let has_args = tekken.special("[ARGS]").is_some();
        Self {
            controls: controls.collect(),
            call_state: if has_args {
                State::CallName
            } else {
                State::CallList
            },
            state: if start_in_thought {
                State::Thought
            } else {
                State::Content
            },
            decoder: Decoder::new(SpecialPolicy::Ignore),
            name: String::new(),
            call_id: String::new(),
            held_tokens: Vec::new(),
            num_calls: 0,
            seed,
            counts: TokenCounts::default(),
        }
    }

    /// Takes the next token and appends what it makes certain to `out`.
    pub fn push(&mut self, tekken: &Tekken, id: TokenId, out: &mut Vec<Delta>) {
        if self.state == State::Ended {
            self.counts.stray += 1;
            out.push(Delta::Stray(id));
        } else if tekken.is_special(id) {
            self.push_special(id, out);
        } else {
            *self.count() += 1;
            if matches!(self.state, State::CallId | State::CallList) {
                self.held_tokens.push(id);
            }
            let mut text = String::new();
            self.decoder.push(tekken, id, &mut text);
            self.emit(text, out);
        }
    }

    /// Ends the reply where it stands; does nothing if `</s>` did. The parser must not be used for another reply.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.state != State::Ended {
            self.enter(State::Ended, false, out);
        }
    }

    /// How many tokens went where so far.
    pub fn counts(&self) -> TokenCounts {
        self.counts
    }

    /// How many calls have begun and are named.
    pub fn num_tool_calls(&self) -> usize {
        self.num_calls
    }

    fn push_special(&mut self, id: TokenId, out: &mut Vec<Delta>) {
        let control = self
            .controls
            .iter()
            .find(|(control, _)| *control == id)
            .map(|&(_, control)| control);
        match control.and_then(|control| self.after(control)) {
            Some(next) => {
                self.counts.control += 1;
                self.enter(next, true, out);
            }
            None => {
                self.flush(out);
                self.counts.stray += 1;
                out.push(Delta::Stray(id));
            }
        }
    }

    /// The state that `control` leads to; `None` where it means nothing.
    fn after(&self, control: Control) -> Option<State> {
        match (control, self.state) {
            (Control::End, _) => Some(State::Ended),
            (Control::Think | Control::ToolCalls, State::Thought) => None,
            (Control::Think, _) => Some(State::Thought),
            (Control::ToolCalls, _) => Some(self.call_state),
            (Control::EndThink, State::Thought) => Some(State::Content),
            (Control::CallId, State::CallName) => Some(State::CallId),
            (Control::Args, State::CallName | State::CallId) => Some(State::Arguments),
            (Control::EndThink | Control::CallId | Control::Args, _) => None,
        }
    }

    /// Leaves the state for `next`, by a control token or because the reply is cut off.
    fn enter(&mut self, next: State, by_control: bool, out: &mut Vec<Delta>) {
        self.flush(out);
        let index = self.num_calls.wrapping_sub(1);
        match (self.state, next) {
            (State::Thought, _) => {
                out.push(Delta::ReasoningEnd {
                    closed: next == State::Content,
                });
            }
            (State::CallName | State::CallId, State::Arguments) => self.start_call(out),
            (State::CallName, State::CallId) => {}
            (State::CallName | State::CallId, _) => {
                self.start_call(out);
                out.push(Delta::ToolCallEnd {
                    index: self.num_calls - 1,
                    complete: false,
                });
            }
            (State::Arguments, _) => out.push(Delta::ToolCallEnd {
                index,
                complete: by_control,
            }),
            (State::CallList, _) => self.end_list(out),
            (State::Content | State::Ended, _) => {}
        }
        self.state = next;
    }

    /// What is left of the bytes of an unfinished character goes to the state it was in.
    fn flush(&mut self, out: &mut Vec<Delta>) {
        let mut text = String::new();
        self.decoder.finish(&mut text);
        self.emit(text, out);
    }

    fn emit(&mut self, text: String, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        match self.state {
            State::Content => out.push(Delta::Content(text)),
            State::Thought => out.push(Delta::Reasoning(text)),
            State::CallName | State::CallList => self.name.push_str(&text),
            State::CallId => self.call_id.push_str(&text),
            State::Arguments => {
                out.push(Delta::ToolCallArguments {
                    index: self.num_calls.wrapping_sub(1),
                    fragment: text,
                });
            }
            State::Ended => {}
        }
    }

    fn count(&mut self) -> &mut usize {
        match self.state {
            State::Content => &mut self.counts.content,
            State::Thought => &mut self.counts.reasoning,
            State::Ended => &mut self.counts.stray,
            State::CallName | State::CallId | State::Arguments | State::CallList => {
                &mut self.counts.tool_calls
            }
        }
    }

    fn start_call(&mut self, out: &mut Vec<Delta>) {
        let name = std::mem::take(&mut self.name);
        let given = std::mem::take(&mut self.call_id);
        let given_tokens = std::mem::take(&mut self.held_tokens);
        let index = self.num_calls;
        let id = if is_call_id(given.trim()) {
            given.trim().to_owned()
        } else {
            self.counts.tool_calls -= given_tokens.len();
            self.counts.stray += given_tokens.len();
            out.extend(given_tokens.into_iter().map(Delta::Stray));
            call_id(self.seed, index)
        };
        self.num_calls += 1;
        let name = name.trim().to_owned();
        out.push(Delta::ToolCallStart { index, id, name });
    }

    fn end_list(&mut self, out: &mut Vec<Delta>) {
        let text = std::mem::take(&mut self.name);
        let num_tokens = std::mem::take(&mut self.held_tokens).len();
        match parse_list(&text) {
            Ok(calls) => {
                for (name, arguments) in calls {
                    self.name = name;
                    self.start_call(out);
                    let index = self.num_calls - 1;
                    out.push(Delta::ToolCallArguments {
                        index,
                        fragment: arguments,
                    });
                    out.push(Delta::ToolCallEnd {
                        index,
                        complete: true,
                    });
                }
            }
            Err(_) => {
                self.counts.tool_calls -= num_tokens;
                self.counts.content += num_tokens;
                out.extend((!text.is_empty()).then_some(Delta::Content(text)));
            }
        }
    }
}

/// Calls as versions up to 7 write them: `[{"name": …, "arguments": {…}}, …]`.
fn parse_list(text: &str) -> Result<Vec<(String, String)>, ChatError> {
    let malformed = || ChatError::Json("a list of tool calls was expected".to_owned());
    let value = json::parse(text.trim()).map_err(|_| malformed())?;
    let calls = value.as_array().ok_or_else(malformed)?;
    let call = |call: &Value| {
        let fields = call.as_object()?;
        Some((
            fields.get("name")?.as_str()?.to_owned(),
            fields.get("arguments")?.dumps(),
        ))
    };
    calls
        .iter()
        .map(|value| call(value).ok_or_else(malformed))
        .collect()
}

/// Length of a tool call's id.
const CALL_ID_LENGTH: usize = 9;

fn is_call_id(text: &str) -> bool {
    text.len() == CALL_ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The id of a reply's `index`th call: a function of the seed, so that a repeated request has the same reply.
pub fn call_id(seed: u64, index: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // SplitMix64 (Steele, Lea and Flood 2014), over the pair of seed and index.
    let mut bits = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let letter = |_| {
        let letter = LETTERS[(bits % 62) as usize];
        bits /= 62;
        char::from(letter)
    };
    (0..CALL_ID_LENGTH).map(letter).collect()
}
