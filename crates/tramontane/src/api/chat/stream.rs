//! A chat reply in chunks, in both dialects: each piece of news becomes the chunks that add it.
//!
//! Must not know: how the reply came about.

use super::reply::{self, Head};
use crate::api::generation::Listener;
use crate::api::sse::Events;
use crate::api::usage::{self, Spent};
use crate::error::{ApiError, Dialect};
use crate::generate::{End, Ending, News, Token};
use chat::format::parse::{Delta, ToolCall};
use serde_json::{Value, json};

/// Writes chunks.
pub struct Chunks {
    head: Head,
    events: Events,
    choices: Vec<Choice>,
    spent: Spent,
    num_open: usize,
}

/// What was said of a choice so far.
#[derive(Clone, Default)]
struct Choice {
    has_begun: bool,
    has_ended: bool,
    has_thought: bool,
    /// The call whose arguments are coming, for Mistral's clients, who get it whole.
    call: ToolCall,
}

impl Chunks {
    /// For so many choices.
    pub fn new(head: Head, num_choices: u32, events: Events) -> Self {
        let num_choices = num_choices as usize;
        Self {
            head,
            events,
            choices: vec![Choice::default(); num_choices],
            spent: Spent::default(),
            num_open: num_choices,
        }
    }

    fn dialect(&self) -> Dialect {
        self.head.ask.dialect
    }

    /// Says that the replies could not be finished, in the way of Mistral's clients.
    pub fn fail(&mut self, error: &ApiError) {
        for choice in 0..self.choices.len() {
            if !self.choices[choice].has_ended {
                let mut chunk = self.chunk(choice, json!({"content": ""}), &[], json!("error"));
                chunk["error"] = error.body(Dialect::Mistral);
                self.events.data(&chunk);
            }
        }
    }

    fn chunk(&self, choice: usize, delta: Value, tokens: &[Token], finish_reason: Value) -> Value {
        let mut part = json!({"index": choice, "delta": delta, "finish_reason": finish_reason});
        if self.dialect() == Dialect::OpenAi || !tokens.is_empty() {
            part["logprobs"] = match tokens.is_empty() {
                true => Value::Null,
                false => self.head.logprobs(tokens),
            };
        }
        let mut chunk = self.head.object("chat.completion.chunk", vec![part]);
        if self.tells_usage() {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn send(&mut self, choice: usize, delta: Value, tokens: &[Token]) {
        if !std::mem::replace(&mut self.choices[choice].has_begun, true) {
            let first = self.chunk(
                choice,
                json!({"role": "assistant", "content": ""}),
                &[],
                Value::Null,
            );
            self.events.data(&first);
        }
        if delta != Value::Null {
            let chunk = self.chunk(choice, delta, tokens, Value::Null);
            self.events.data(&chunk);
        }
    }

    /// Whether OpenAI's last chunk, of usage alone, is to come.
    fn tells_usage(&self) -> bool {
        let wanted = self
            .head
            .ask
            .streaming
            .is_some_and(|streaming| streaming.include_usage);
        wanted && self.dialect() == Dialect::OpenAi
    }

    fn delta(&mut self, choice: usize, delta: Delta) -> Option<Value> {
        match self.dialect() {
            Dialect::OpenAi => openai_delta(delta),
            Dialect::Mistral => mistral_delta(delta, &mut self.choices[choice]),
        }
    }

    fn end(&mut self, choice: usize, ending: &Ending) {
        self.send(choice, Value::Null, &[]);
        self.spent.add(0, ending);
        self.num_open -= 1;
        self.choices[choice].has_ended = true;
        let (delta, is_last) = match self.dialect() {
            Dialect::OpenAi => (json!({}), false),
            Dialect::Mistral => (json!({"content": ""}), self.num_open == 0),
        };
        let mut chunk = self.chunk(choice, delta, &[], json!(ending.reason.name()));
        if self.dialect() == Dialect::OpenAi {
            chunk["choices"][0]["stop_reason"] = self.head.stop_reason(ending);
        }
        if is_last {
            chunk["usage"] = usage::json(&self.spent);
        }
        self.events.data(&chunk);
        if self.num_open == 0 && self.tells_usage() {
            let mut last = self.head.object("chat.completion.chunk", Vec::new());
            last["usage"] = usage::json(&self.spent);
            self.events.data(&last);
        }
    }
}

impl Listener for Chunks {
    fn news(&mut self, choice: usize, news: News) {
        let told = news
            .tokens
            .into_iter()
            .filter(|token| token.is_content && self.head.ask.logprobs);
        let mut tokens: Vec<Token> = told.collect();
        for delta in news.deltas {
            let is_content = matches!(delta, Delta::Content(_));
            if let Some(delta) = self.delta(choice, delta) {
                let beside = match is_content {
                    true => std::mem::take(&mut tokens),
                    false => Vec::new(),
                };
                self.send(choice, delta, &beside);
            }
        }
        if !tokens.is_empty() {
            self.send(choice, json!({"content": ""}), &tokens);
        }
        if let Some(End::Done(ending)) = &news.end {
            self.end(choice, ending);
        }
    }

    fn idle(&mut self) {
        self.events.comment("keep-alive");
    }
}

/// OpenAI's: reasoning beside content, a call's head and then its arguments piece by piece.
fn openai_delta(delta: Delta) -> Option<Value> {
    match delta {
        Delta::Reasoning(text) => Some(json!({"reasoning_content": text, "reasoning": text})),
        Delta::Content(text) => Some(json!({"content": text})),
        Delta::ToolCallStart { index, id, name } => Some(json!({"tool_calls": [{
            "index": index,
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }]})),
        Delta::ToolCallArguments { index, fragment } => {
            Some(json!({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}))
        }
        Delta::ReasoningEnd { .. } | Delta::ToolCallEnd { .. } | Delta::Stray(_) => None,
    }
}

/// Mistral's: a thought as chunks of content, a call whole.
fn mistral_delta(delta: Delta, choice: &mut Choice) -> Option<Value> {
    match delta {
        Delta::Reasoning(text) => {
            choice.has_thought = true;
            Some(json!({"content": [reply::thinking(&text)]}))
        }
        Delta::ReasoningEnd { closed: false } if choice.has_thought => {
            Some(json!({"content": [{"type": "thinking", "thinking": [], "closed": false}]}))
        }
        Delta::Content(text) => Some(json!({"content": text})),
        Delta::ToolCallStart { id, name, .. } => {
            choice.call = ToolCall {
                id,
                name,
                ..ToolCall::default()
            };
            None
        }
        Delta::ToolCallArguments { fragment, .. } => {
            choice.call.arguments.push_str(&fragment);
            None
        }
        Delta::ToolCallEnd { index, .. } => {
            let whole = reply::tool_call(Dialect::Mistral, index, &choice.call);
            Some(json!({"content": "", "tool_calls": [whole]}))
        }
        Delta::ReasoningEnd { .. } | Delta::Stray(_) => None,
    }
}
