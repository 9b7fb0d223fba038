//! A `tekken.json`; if it is one, text to ids and back.

#![no_main]

use chat::Tekken;
use chat::tekken::SpecialPolicy;
use fuzz::MOST_ALLOCATED;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

const TEXT: &str = "Hello, World!\r\n  1234 Zürich 東京 \u{301}e🎉 [INST]</s>";

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let Ok(tekken) = Tekken::from_json(data, Path::new("tekken.json")) else {
        return;
    };
    let last = &data[data.len().saturating_sub(256)..];
    let text = format!("{TEXT}{}", String::from_utf8_lossy(last));
    let ids = tekken.encode_text(&text);
    for &id in &ids {
        assert!((id as usize) < tekken.vocab_size() && !tekken.is_special(id));
    }
    for policy in [SpecialPolicy::Ignore, SpecialPolicy::Keep] {
        assert_eq!(tekken.decode(&ids, policy), text);
    }
    let all: Vec<u32> = (0..=tekken.vocab_size() as u32).collect();
    tekken.decode(&all, SpecialPolicy::Keep);
});
