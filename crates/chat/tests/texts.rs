//! Plain text against Tekken itself: random texts, every character there is, hostile input, and back again.
//! Hashes made by `fixtures/make_chat_cases.py`; the texts are made again here.

#![expect(clippy::unwrap_used, reason = "a test's own fixtures")]

mod support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chat::Tekken;
use chat::tekken::{Decoder, SpecialPolicy, Version};
use proptest::prelude::*;
use support::{fixture, hash, tekken};

static TEKKEN: LazyLock<Tekken> = LazyLock::new(|| tekken(Version::V15));

/// As `RANGES` of fixtures/lib/chat_texts.py.
const RANGES: [(u32, u32); 34] = [
    (0x20, 0x7e),
    (0x41, 0x5a),
    (0x61, 0x7a),
    (0x30, 0x39),
    (0x00, 0x20),
    (0x09, 0x0d),
    (0xa0, 0xff),
    (0x100, 0x24f),
    (0x300, 0x36f),
    (0x370, 0x3ff),
    (0x400, 0x4ff),
    (0x5d0, 0x5ea),
    (0x600, 0x6ff),
    (0x900, 0x97f),
    (0xe00, 0xe7f),
    (0x1100, 0x11ff),
    (0x1e00, 0x1fff),
    (0x2000, 0x206f),
    (0x20d0, 0x20ff),
    (0x2150, 0x218f),
    (0x2200, 0x22ff),
    (0x2460, 0x24ff),
    (0x3000, 0x30ff),
    (0x4e00, 0x9fff),
    (0xac00, 0xd7a3),
    (0xe000, 0xe0ff),
    (0xfe00, 0xfeff),
    (0xff00, 0xffef),
    (0x10400, 0x1044f),
    (0x1d400, 0x1d7ff),
    (0x1f300, 0x1f6ff),
    (0x10fff0, 0x10ffff),
    (0xe000, 0x10ffff),
    (0x80, 0xd7ff),
];

/// As `SNIPPETS` of the same file.
#[rustfmt::skip]
const SNIPPETS: [&str; 59] = [
    " ", "  ", "\n", "\r\n", "\n\n", "\t", " \n ", "/", "//", "[INST]", "</s>", "[/THINK]", "the", " The", "HTTPServer",
    "don't", "IT'S", "'s", "123", "3.14", "://", "!!!", "...", "é", "e\u{301}", "日本語", "한국어", "Привет", "العربية",
    "नमस्ते", "👩‍👩‍👧", "🎉", "ß", "ǅ", "ʰ", "\u{a0}", "\u{2003}", "\u{3000}", "\u{200d}", "\u{feff}", "\u{fffd}", "fn main() {", "    ",
    "        ", "==", "____", "----", "\\n", "\"", "{\"a\": 1}", "aA", "Aa", "AAA", "aaa", "Ⅷ", "²", "½", "\0", "\u{85}",
];

struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn random_text(seed: u64) -> String {
    let mut numbers = SplitMix(seed);
    let mut text = String::new();
    for _ in 0..numbers.next() % 24 {
        let number = numbers.next();
        let (kind, pick, repeat) = (number % 8, number >> 8 & 0xffff, number >> 24 & 0xff);
        if kind < 3 {
            text.push_str(SNIPPETS[(pick % SNIPPETS.len() as u64) as usize]);
            continue;
        }
        let (first, last) = RANGES[(pick % RANGES.len() as u64) as usize];
        let code = first + ((number >> 32) % u64::from(last - first + 1)) as u32;
        let count = if kind == 7 { 1 + repeat % 12 } else { 1 };
        text.extend(std::iter::repeat_n(
            char::from_u32(code).unwrap(),
            count as usize,
        ));
    }
    text
}

fn hashes(name: &str) -> Vec<u32> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    bytes
        .chunks_exact(4)
        .map(|chunk| u32::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}

/// Compares a text's ids by hash, and decodes them again, whole and one by one.
fn check(text: &str, expected: u32) {
    let ids = TEKKEN.encode_text(text);
    assert_eq!(hash(&ids) as u32, expected, "{text:?}: {ids:?}");
    assert_eq!(TEKKEN.decode(&ids, SpecialPolicy::Keep), text);
    let mut decoder = Decoder::new(SpecialPolicy::Ignore);
    let mut streamed = String::new();
    ids.iter()
        .for_each(|id| decoder.push(&TEKKEN, *id, &mut streamed));
    decoder.finish(&mut streamed);
    assert_eq!(streamed, text);
}

#[test]
fn random_texts_have_tekken_s_ids() {
    let expected = hashes("chat/texts.u32");
    assert!(expected.len() >= 20_000);
    for (seed, expected) in expected.into_iter().enumerate() {
        check(&random_text(seed as u64), expected);
    }
}

#[test]
fn every_character_has_tekken_s_ids() {
    let blocks = (0..0x11_0000_u32)
        .step_by(256)
        .filter(|block| !(0xd800..0xe000).contains(block));
    let expected = hashes("chat/characters.u32");
    assert_eq!(blocks.clone().count(), expected.len());
    for (block, expected) in blocks.zip(expected) {
        let characters = (block..block + 256).map(|code| char::from_u32(code).unwrap());
        let text: String = characters
            .map(|c| format!("{c}a A{c}B {c}{c}1 {c}\n!{c}"))
            .collect();
        check(&text, expected);
    }
}

#[test]
fn known_texts() {
    let table: [(&str, &[u32]); 7] = [
        (
            "The quick brown fox jumps over the lazy dog.",
            &[
                1784, 7586, 22980, 94137, 72993, 2136, 1278, 42757, 10575, 1046,
            ],
        ),
        (
            "función común días 日本語 🎉",
            &[12127, 1963, 35239, 20608, 30367, 15199, 119685, 1142, 1137],
        ),
        (
            "function add(x) {\n    return x + 1;\n}\n",
            &[
                5165, 2229, 4790, 1041, 1512, 1293, 1850, 2460, 1867, 1032, 1049, 1365, 2002,
            ],
        ),
        (
            "  a\n\n\tb  \r\nC 123 don't IT'S x=y//z\n",
            &[
                1032, 1261, 1267, 40796, 1256, 1013, 1010, 1067, 1032, 1049, 1050, 1051, 2607,
                2405, 22784, 44161, 2460, 74951, 1555, 1122, 1010,
            ],
        ),
        (
            "[INST] </s> [IMG]",
            &[1091, 3174, 3074, 1093, 2259, 1115, 1062, 1766, 125250, 1093],
        ),
        ("后汉书", &[131071]),
        ("", &[]),
    ];
    for (text, ids) in table {
        assert_eq!(TEKKEN.encode_text(text), ids, "{text:?}");
    }
}

/// Linear time: eight times the text takes no more than about eight times as long. The bound is generous because the
/// machine may be busy; a quadratic step would be over it by orders of magnitude.
#[test]
fn hostile_texts_take_linear_time() {
    const SIZE: usize = 1 << 20;
    let units = [
        "a", "A", "\u{301}", "[", " ", "\n", "日", "aA", "日A", "\u{301}A", "\r \n", "1", "!\n/",
        " \u{a0}", "é", "\0", "ǅ",
    ];
    for unit in units {
        let text = unit.repeat(SIZE / unit.len());
        let start = Instant::now();
        let ids = TEKKEN.encode_text(&text);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(8), "{unit:?} took {took:?}");
        assert_eq!(TEKKEN.decode(&ids, SpecialPolicy::Ignore), text);
    }
}

#[test]
fn bytes_do_not_join_across_a_special_token() {
    // A rocket is four bytes: as bytes, then cut by an end token.
    let bytes: Vec<u32> = "🚀".bytes().map(|byte| 1000 + u32::from(byte)).collect();
    assert_eq!(TEKKEN.decode(&bytes, SpecialPolicy::Ignore), "🚀");
    let cut = [&bytes[..2], &[2], &bytes[2..]].concat();
    assert_eq!(
        TEKKEN.decode(&cut, SpecialPolicy::Ignore),
        "\u{fffd}\u{fffd}\u{fffd}"
    );
    assert_eq!(
        TEKKEN.decode(&cut, SpecialPolicy::Keep),
        "\u{fffd}</s>\u{fffd}\u{fffd}"
    );
    assert_eq!(
        TEKKEN.decode(&[20, 999, u32::MAX, 131_072], SpecialPolicy::Keep),
        "<SPECIAL_20><SPECIAL_999>"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What was encoded decodes to itself, however it is streamed, and no text makes a special token.
    #[test]
    fn decoding_undoes_encoding(text in "(\\PC|[ \\n\\r\\t/A-Za-z0-9]|\\p{M}|\\p{L}){0,60}") {
        let ids = TEKKEN.encode_text(&text);
        prop_assert!(ids.iter().all(|id| !TEKKEN.is_special(*id)));
        prop_assert_eq!(TEKKEN.decode(&ids, SpecialPolicy::Keep), text);
    }

    /// Any ids decode the same at once and one by one.
    #[test]
    fn streaming_any_ids_gives_the_same_text(ids in prop::collection::vec(prop_oneof![0_u32..40, 1000_u32..1300, 0_u32..131_200], 0..40)) {
        for policy in [SpecialPolicy::Keep, SpecialPolicy::Ignore] {
            let mut expected = String::new();
            for run in ids.chunk_by(|one, other| TEKKEN.is_special(*one) == TEKKEN.is_special(*other)) {
                let bytes: Vec<u8> = run.iter().flat_map(|id| TEKKEN.token_bytes(*id)).copied().collect();
                if !TEKKEN.is_special(run[0]) || policy == SpecialPolicy::Keep {
                    expected.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
            prop_assert_eq!(TEKKEN.decode(&ids, policy), expected);
        }
    }
}
