//! A Hugging Face `tokenizer.json`; if it is one, text to ids and back.

#![no_main]

use chat::vocabulary::{TokenizerConfig, Vocabulary};
use fuzz::MOST_ALLOCATED;
use libfuzzer_sys::fuzz_target;

const TEXT: &str = " Hello  World's 1234\r\n\tZürich 東京 e\u{301}🎉 <s>[INST] a b ▁ <0x0A>";

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let config = TokenizerConfig {
        bos_token: Some("<s>".to_owned()),
        eos_token: Some("</s>".to_owned()),
        ..TokenizerConfig::default()
    };
    let Ok(vocabulary) = Vocabulary::from_tokenizer_json(data, &config) else {
        return;
    };
    let last = String::from_utf8_lossy(&data[data.len().saturating_sub(64)..]);
    for text in ["", TEXT, &last] {
        for parse_special in [false, true] {
            let Ok(ids) = vocabulary.encode(text, parse_special) else {
                continue;
            };
            for &id in &ids {
                assert!(vocabulary.token_bytes(id).is_some(), "{id} is in the table");
            }
            let mut decoder = vocabulary.decoder(true);
            let mut streamed: String = ids.iter().map(|&id| decoder.push(id)).collect();
            streamed.push_str(&decoder.finish());
            assert_eq!(streamed, vocabulary.decode(&ids, true));
        }
    }
    let ends = vocabulary.eos().iter().copied().chain(vocabulary.bos());
    for id in ends {
        assert!((id as usize) < vocabulary.num_tokens());
    }
});
