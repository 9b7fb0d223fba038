//! A chat template's source, rendered with a small conversation.

#![no_main]

use chat::json::{self, Value};
use chat::template::{LocalTime, Template, TemplateInputs};
use fuzz::MOST_ALLOCATED;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CONVERSATION: LazyLock<Value> = LazyLock::new(|| {
    json::parse(
        r#"{"messages": [{"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "2+2, 日本?"}]},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "123456789", "type": "function",
                "function": {"name": "add", "arguments": {"a": 2, "b": [1.5, null, true]}}}]},
            {"role": "tool", "content": "4", "tool_call_id": "123456789"}, {"role": "user", "content": "Thanks!\n"}],
            "tools": [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters":
                {"type": "object", "properties": {"a": {"type": "number"}}}}}],
            "extra": {"a": [1, -2, 1e300, "x"], "n": 9007199254740993}}"#,
    )
    .expect("it is JSON")
});

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(template) = Template::new(source) else {
        return;
    };
    let field = |name| CONVERSATION.as_object().and_then(|all| all.get(name));
    let extra = field("extra").cloned().into_iter();
    let rendered = template.render(&TemplateInputs {
        messages: field("messages")
            .and_then(Value::as_array)
            .unwrap_or_default(),
        tools: field("tools").and_then(Value::as_array),
        add_generation_prompt: true,
        bos_token: Some("<s>"),
        eos_token: Some("</s>"),
        extra: &extra
            .map(|value| ("x".to_owned(), value))
            .collect::<Vec<_>>(),
        now: LocalTime {
            seconds: 1_772_874_303,
        },
    });
    if let Err(error) = rendered {
        assert!(!error.to_string().is_empty());
    }
});
