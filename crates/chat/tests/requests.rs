//! Thousands of random requests, sound and broken, against mistral-common 1.13.1: the same ids, and the same refused
//! for the same kind of reason. Made by `fixtures/make_chat_cases.py`.

#![expect(clippy::unwrap_used, reason = "a test's own fixtures")]

mod support;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chat::tekken::Version;
use chat::{ChatError, Tekken};
use proptest::prelude::*;
use serde_json::Value;
use support::{fixture, hash, tekken, unpacked};

/// The ids of a body, or why it is refused.
fn ids_of(body: &str, tekken: &Tekken) -> Result<Vec<u32>, ChatError> {
    let conversation = chat::validate(chat::request::parse(body.as_bytes())?, tekken)?;
    let prompt = chat::encode(&conversation, tekken)?;
    for image in &prompt.images {
        let tokens = &prompt.ids[image.start..][..image.grid.num_tokens()];
        assert!(
            tokens.iter().all(|id| [10, 12, 13].contains(id)),
            "images know their places"
        );
    }
    Ok(prompt.ids)
}

/// Puts the images of `images.json` in the places of `@imgN@`.
fn with_images(body: &str, images: &[String]) -> String {
    let mut parts = body.split("@img");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (number, rest) = part.split_once('@').unwrap();
        out.push_str(&images[number.parse::<usize>().unwrap()]);
        out.push_str(rest);
    }
    out
}

/// The cases of a version: how many there are, and the differences.
fn compare(version: Version, at_least: usize) {
    let images: Vec<String> =
        serde_json::from_slice(&std::fs::read(fixture("chat/images.json")).unwrap()).unwrap();
    let cases = String::from_utf8(unpacked(&format!(
        "chat/requests-{}.jsonl.gz",
        version.name()
    )))
    .unwrap();
    let tekken = tekken(version);
    let (mut count, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    let mut other_kinds: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let body = case["body"].as_str().unwrap();
        let got = ids_of(&with_images(body, &images), &tekken);
        count += 1;
        refused += usize::from(got.is_err());
        match (&got, case["ids"].as_str(), case["error"].as_str()) {
            (Ok(ids), Some(expected), None) if format!("{:016x}", hash(ids)) == expected => {}
            (Err(error), None, Some(kind)) if error.kind() == kind => {}
            (Err(error), None, Some(kind)) => {
                other_kinds
                    .entry((kind.to_owned(), error.kind()))
                    .or_default()
                    .push(format!("{error}\n  {body}"));
            }
            (Ok(ids), _, error) => {
                let text = tekken.decode(ids, chat::tekken::SpecialPolicy::Keep);
                wrong.push(format!(
                    "{body}\n  expected {error:?} or other ids, got {text:?}"
                ));
            }
            (Err(error), _, _) => {
                wrong.push(format!("{body}\n  expected to be accepted, got {error}"))
            }
        }
    }
    let num_others: usize = other_kinds.values().map(Vec::len).sum();
    let num_wrong = wrong.len();
    wrong.truncate(10);
    let examples = wrong.join("\n");
    assert!(
        num_wrong == 0,
        "{num_wrong} of {count} differ, such as\n{examples}"
    );
    // Where several things are wrong, which one is named first may differ.
    assert!(
        num_others * 50 <= refused,
        "{num_others} of {refused} are refused for another reason: {other_kinds:#?}"
    );
    let enough = count >= at_least && refused > at_least / 20 && refused < count / 2;
    assert!(enough, "{count} cases, {refused} refused");
}

#[test]
fn version_15() {
    compare(Version::V15, 5000);
}

#[test]
fn version_13() {
    compare(Version::V13, 500);
}

#[test]
fn version_11() {
    compare(Version::V11, 500);
}

#[test]
fn version_7() {
    compare(Version::V7, 500);
}

#[test]
fn version_3() {
    compare(Version::V3, 500);
}

static V15: LazyLock<Tekken> = LazyLock::new(|| tekken(Version::V15));

/// A request with a part of everything, to be damaged.
const BODY: &str = r#"{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},
{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlhAQABAAAAACw="}}]},{"role":"assistant","content":[
{"type":"thinking","thinking":[{"type":"text","text":"c"}],"closed":true}],"tool_calls":[{"id":"d","type":"function",
"function":{"name":"e","arguments":"{\"f\": 1e5}"}}]},{"role":"tool","tool_call_id":"d","content":"g"},{"role":"assistant",
"content":"h","reasoning":"i","prefix":true}],"tools":[{"type":"function","function":{"name":"j","description":"k","parameters":
{"type":"object","properties":{"l":{"pattern":"^[a-z]{1,2}(?P<m>\\d)$"}}}}}],"reasoning_effort":"high"}"#;

#[test]
fn the_body_to_be_damaged_is_sound() {
    assert!(ids_of(BODY, &V15).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Any bytes are a request or an error.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(chat::request::parse(&bytes).is_err());
    }

    /// So is a request with some of its bytes changed, and what is read is encoded or refused.
    #[test]
    fn damaged_requests_are_encoded_or_refused(changes in prop::collection::vec((0..BODY.len(), any::<u8>()), 1..6), end in 0..2 * BODY.len()) {
        let mut body = BODY.as_bytes().to_vec();
        for (at, byte) in changes {
            body[at] = byte;
        }
        body.truncate(end);
        if let Ok(request) = chat::request::parse(&body)
            && let Ok(conversation) = chat::validate(request, &V15)
            && let Ok(prompt) = chat::encode(&conversation, &V15)
        {
            prop_assert!(prompt.ids.iter().all(|id| (*id as usize) < V15.vocab_size()));
        }
    }
}
