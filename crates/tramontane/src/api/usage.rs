//! What replies cost, as their `usage`.
//!
//! Must not know: what the tokens say.

use crate::generate::Ending;
use chat::format::parse::TokenCounts;
use serde_json::{Value, json};

/// What the replies of a request cost together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens of each prompt, and how many of them were in the cache. A prompt counts once, whatever its replies.
    prompts: Vec<Option<(usize, usize)>>,
    generated: usize,
    counts: TokenCounts,
}

impl Spent {
    /// Adds a reply to the prompt of that number.
    pub fn add(&mut self, prompt: usize, ending: &Ending) {
        if self.prompts.len() <= prompt {
            self.prompts.resize(prompt + 1, None);
        }
        let usage = ending.usage;
        self.prompts[prompt].get_or_insert((usage.prompt_tokens, usage.cached_tokens));
        self.generated += usage.generated_tokens;
        let (sum, more) = (&mut self.counts, ending.counts);
        sum.reasoning += more.reasoning;
        sum.content += more.content;
        sum.tool_calls += more.tool_calls;
        sum.control += more.control;
        sum.stray += more.stray;
    }
}

/// `usage`. The details of the generated tokens add up to `completion_tokens`: each token is in one of them.
pub fn json(spent: &Spent) -> Value {
    let prompts = spent.prompts.iter().flatten();
    let (prompt, cached) = prompts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": spent.generated,
        "total_tokens": prompt + spent.generated,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {
            "reasoning_tokens": spent.counts.reasoning,
            "content_tokens": spent.counts.content,
            "tool_call_tokens": spent.counts.tool_calls,
            "control_tokens": spent.counts.control,
            "stray_tokens": spent.counts.stray,
        },
    })
}
