//! A small Tekken of each version, from the committed one of 1,872 ordinary tokens.
//!
//! Must not know: what is fuzzed with them.

use chat::Tekken;
use chat::tekken::Version;
use serde_json::Value;
use std::path::Path;

const NEWEST: &str = include_str!("../../fixtures/grammar/tekken.json");

/// The tokenizer file of `version`, with the special tokens and settings that files of that age have. Without the
/// list, the special tokens are the historic ones, so that calls are a JSON list.
pub fn tekken_json(version: Version) -> Value {
    let mut file: Value = serde_json::from_str(NEWEST).expect("the fixture is JSON");
    file["config"]["version"] = version.name().into();
    let fields = file.as_object_mut().expect("the fixture is an object");
    if version < Version::V15 {
        fields.remove("model_settings_builder");
    }
    if version <= Version::V7 {
        fields.remove("special_tokens");
    }
    file
}

/// The tokenizers of all versions, oldest first.
pub fn tekkens() -> Vec<Tekken> {
    let build = |version| {
        let json = tekken_json(version).to_string();
        Tekken::from_json(json.as_bytes(), Path::new("tekken.json")).expect("the fixture is sound")
    };
    Version::ALL.map(build).into()
}
