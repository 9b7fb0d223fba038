//! A chat request's body: parsed, then judged and encoded for each version of the tokenizer.

#![no_main]

use chat::{Tekken, encode, request, validate};
use fuzz::MOST_ALLOCATED;
use fuzz::tekkens::tekkens;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TEKKENS: LazyLock<Vec<Tekken>> = LazyLock::new(tekkens);

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let request = match request::parse(data) {
        Ok(request) => request,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for tekken in TEKKENS.iter() {
        let Ok(conversation) = validate(request.clone(), tekken) else {
            continue;
        };
        let Ok(prompt) = encode(&conversation, tekken) else {
            continue;
        };
        assert_eq!(prompt.ids.first().copied(), tekken.special("<s>"));
        assert!(
            prompt
                .ids
                .iter()
                .all(|&id| (id as usize) < tekken.vocab_size())
        );
        let mut free = 0;
        for slot in &prompt.images {
            assert!(slot.start >= free, "images do not overlap");
            free = slot.start + slot.grid.num_tokens();
        }
        assert!(free <= prompt.ids.len());
    }
});
