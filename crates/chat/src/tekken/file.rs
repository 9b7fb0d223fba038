//! Reading `tekken.json`: the file's shape, and every rule that a well-formed one keeps.
//!
//! Must not know: what the tokenizer is used for.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::ranks::Ranks;
use super::split::{Classes, PATTERN};
use super::{EffortSetting, ImageConfig, SettingsBuilder, Tekken, Version};
use crate::base64;
use crate::message::ReasoningEffort;

/// More special ids than any file has (1000), so that a malformed count cannot ask for memory.
const MAX_SPECIAL: usize = 1 << 16;

/// More pixels a side than any image has.
const MAX_IMAGE_SIDE: u32 = 1 << 20;

/// The special tokens of files up to version 7, which need not list them.
const HISTORIC: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

#[derive(Deserialize)]
struct File<'a> {
    config: Config,
    #[serde(borrow)]
    vocab: Vec<Entry<'a>>,
    special_tokens: Option<Vec<Special>>,
    image: Option<Image>,
    /// The old name of `image`, up to version 11.
    multimodal: Option<Image>,
    model_settings_builder: Option<Builder>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: usize,
    default_num_special_tokens: usize,
    version: String,
}

#[derive(Deserialize)]
struct Entry<'a> {
    rank: usize,
    #[serde(borrow)]
    token_bytes: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Special {
    rank: usize,
    token_str: String,
}

#[derive(Deserialize)]
struct Image {
    image_patch_size: u32,
    max_image_size: u32,
    spatial_merge_size: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Builder {
    reasoning_effort: Option<EffortBuilder>,
    json_schema: Option<SchemaBuilder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EffortBuilder {
    #[serde(rename = "type")]
    kind: String,
    values: Vec<String>,
    accepts_none: bool,
    default: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaBuilder {
    #[serde(rename = "type", default)]
    _kind: Option<String>,
    #[serde(rename = "accepts_none", default)]
    _accepts_none: bool,
    #[serde(rename = "default", default)]
    _default: (),
}

/// The tokenizer in `json`, or what is wrong with the file.
pub(super) fn read(json: &[u8]) -> Result<Tekken, String> {
    let file: File<'_> = serde_json::from_slice(json)
        .map_err(|error| format!("not a tekken tokenizer file: {error}"))?;
    let version = Version::ALL
        .into_iter()
        .find(|version| version.name() == file.config.version);
    let version = version.ok_or_else(|| {
        let known = Version::ALL.map(Version::name).join(", ");
        format!(
            "config.version is {:?}; versions that can be read: {known}",
            file.config.version
        )
    })?;
    if file.config.pattern != PATTERN {
        return Err(format!(
            "config.pattern is {:?}; only {PATTERN:?} is known",
            file.config.pattern
        ));
    }
    let ranks = ranks(&file.vocab, &file.config)?;
    let (special_names, special_ids) = specials(
        file.special_tokens,
        file.config.default_num_special_tokens,
        version,
    )?;
    Ok(Tekken {
        version,
        ranks,
        classes: Classes::new(),
        special_names,
        special_ids,
        image: image(file.image, file.multimodal, version)?,
        settings: settings(file.model_settings_builder, version)?,
    })
}

/// The first `default_vocab_size - default_num_special_tokens` entries of the vocabulary.
fn ranks(vocab: &[Entry<'_>], config: &Config) -> Result<Ranks, String> {
    let (size, num_special) = (config.default_vocab_size, config.default_num_special_tokens);
    let count = size
        .checked_sub(num_special)
        .filter(|count| (256..=vocab.len()).contains(count));
    let count = count.ok_or_else(|| {
        format!(
            "config.default_vocab_size {size} less default_num_special_tokens {num_special} must be between 256 and \
             the {} entries of vocab",
            vocab.len()
        )
    })?;
    let mut ranks = Ranks::with_capacity(count);
    for (rank, entry) in vocab[..count].iter().enumerate() {
        if entry.rank != rank {
            return Err(format!(
                "vocab[{rank}].rank is {}; ranks must count up from 0",
                entry.rank
            ));
        }
        let bytes = base64::decode(&entry.token_bytes)
            .map_err(|what| format!("vocab[{rank}].token_bytes {:?}: {what}", entry.token_bytes))?;
        if bytes.is_empty() {
            return Err(format!("vocab[{rank}].token_bytes is empty"));
        }
        if rank < 256 && bytes != [rank as u8] {
            return Err(format!(
                "vocab[{rank}] must be the single byte {rank}, got {bytes:?}"
            ));
        }
        if !ranks.push(&bytes) {
            return Err(format!(
                "vocab[{rank}].token_bytes {:?} is there twice",
                entry.token_bytes
            ));
        }
    }
    Ok(ranks)
}

type Names = (Vec<String>, HashMap<String, u32>);

/// Every special id's name; ids that the file does not define are named `<SPECIAL_n>`.
fn specials(listed: Option<Vec<Special>>, count: usize, version: Version) -> Result<Names, String> {
    if count > MAX_SPECIAL {
        return Err(format!(
            "config.default_num_special_tokens is {count}; at most {MAX_SPECIAL} can be read"
        ));
    }
    let listed = match listed {
        Some(listed) => listed,
        None if version <= Version::V7 => {
            let name = |(rank, name): (usize, &str)| Special {
                rank,
                token_str: name.to_owned(),
            };
            HISTORIC.into_iter().enumerate().map(name).collect()
        }
        None => {
            return Err(format!(
                "special_tokens is missing; version {} must list them",
                version.name()
            ));
        }
    };
    let mut names: Vec<Option<String>> = vec![None; count];
    for (index, special) in listed.into_iter().enumerate() {
        let slot = names.get_mut(special.rank).ok_or_else(|| {
            format!(
                "special_tokens[{index}].rank is {}; it must be under {count}",
                special.rank
            )
        })?;
        if slot.is_some() {
            return Err(format!(
                "special_tokens[{index}].rank {} is there twice",
                special.rank
            ));
        }
        *slot = Some(special.token_str);
    }
    let names: Vec<String> = names
        .into_iter()
        .enumerate()
        .map(|(id, name)| name.unwrap_or_else(|| format!("<SPECIAL_{id}>")))
        .collect();
    let mut ids = HashMap::with_capacity(names.len());
    for (id, name) in names.iter().enumerate() {
        if let Some(other) = ids.insert(name.clone(), id as u32) {
            return Err(format!(
                "special tokens {other} and {id} are both named {name:?}"
            ));
        }
    }
    for needed in ["<s>", "</s>", "[INST]", "[/INST]"] {
        if !ids.contains_key(needed) {
            return Err(format!("special_tokens lacks {needed}"));
        }
    }
    Ok((names, ids))
}

fn image(
    image: Option<Image>,
    multimodal: Option<Image>,
    version: Version,
) -> Result<Option<ImageConfig>, String> {
    if multimodal.is_some() && version > Version::V11 {
        return Err(format!(
            "multimodal must be called image in a file of version {}",
            version.name()
        ));
    }
    let Some(image) = multimodal.or(image) else {
        return Ok(None);
    };
    let config = ImageConfig {
        patch_size: image.image_patch_size,
        max_image_size: image.max_image_size,
        spatial_merge_size: image.spatial_merge_size.unwrap_or(1),
    };
    let sides = [
        config.patch_size,
        config.max_image_size,
        config.spatial_merge_size,
    ];
    if sides
        .iter()
        .any(|side| !(1..=MAX_IMAGE_SIDE).contains(side))
    {
        return Err(format!(
            "image sizes must be between 1 and {MAX_IMAGE_SIDE}, got {sides:?}"
        ));
    }
    Ok(Some(config))
}

fn settings(builder: Option<Builder>, version: Version) -> Result<Option<SettingsBuilder>, String> {
    let Some(builder) = builder else {
        return Ok(None);
    };
    if version < Version::V15 {
        return Err(format!(
            "model_settings_builder needs version v15, the file is {}",
            version.name()
        ));
    }
    let effort = |name: &String| {
        ReasoningEffort::from_name(name).ok_or_else(|| {
            let known = ReasoningEffort::ALL.map(ReasoningEffort::name).join(", ");
            format!("model_settings_builder names the reasoning effort {name:?}; known are {known}")
        })
    };
    let reasoning_effort = match builder.reasoning_effort {
        None => None,
        Some(setting) => {
            let values = setting
                .values
                .iter()
                .map(effort)
                .collect::<Result<Vec<_>, _>>()?;
            let default = setting.default.as_ref().map(effort).transpose()?;
            match default {
                Some(default)
                    if values.contains(&default)
                        && setting.kind == "enum"
                        && setting.accepts_none =>
                {
                    Some(EffortSetting { values, default })
                }
                _ => {
                    return Err("model_settings_builder.reasoning_effort must be of type \"enum\", accept none, and \
                                have a default among its values"
                        .to_owned());
                }
            }
        }
    };
    Ok(Some(SettingsBuilder {
        reasoning_effort,
        json_schema: builder.json_schema.is_some(),
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A file of the 256 bytes and nothing more, with `change` made to its text.
    fn read_changed(from: &str, to: &str) -> Result<Tekken, String> {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let vocab: Vec<String> = (0..256_usize)
            .map(|byte| {
                let (high, low) = (DIGITS[byte >> 2], DIGITS[(byte & 3) << 4]);
                let (high, low) = (char::from(high), char::from(low));
                format!(r#"{{"rank":{byte},"token_bytes":"{high}{low}==","token_str":null}}"#)
            })
            .collect();
        let text = format!(
            r#"{{"config":{{"pattern":{},"num_vocab_tokens":256,"default_vocab_size":296,"default_num_special_tokens":40,"version":"v7"}},"vocab":[{}]}}"#,
            serde_json::Value::from(PATTERN),
            vocab.join(",")
        );
        assert!(text.contains(from), "{from}");
        let result = Tekken::from_json(
            text.replacen(from, to, 1).as_bytes(),
            Path::new("tekken.json"),
        );
        result.map_err(|error| error.to_string())
    }

    #[test]
    fn old_files_have_the_historic_specials() {
        let tekken = read_changed("v7", "v7").unwrap();
        assert_eq!(tekken.special("[TOOL_CONTENT]"), Some(19));
        assert_eq!(tekken.special("<SPECIAL_20>"), Some(20));
        assert_eq!((tekken.vocab_size(), tekken.num_special()), (296, 40));
        assert_eq!(tekken.token_bytes(40 + 97), b"a");
        assert_eq!(tekken.token_bytes(9), b"[TOOL_CALLS]");
        assert_eq!(tekken.token_bytes(296), b"");
        assert_eq!(tekken.encode_text("ab"), [137, 138]);
    }

    #[test]
    fn malformed_files_are_refused_by_name() {
        let table = [
            ("\"v7\"", "\"v2\"", "config.version"),
            ("\"v7\"", "\"v11\"", "special_tokens is missing"),
            ("296", "297", "default_vocab_size"),
            ("296", "18446744073709551615", "default_vocab_size"),
            (
                ":40,",
                ":18446744073709551615,",
                "default_num_special_tokens",
            ),
            ("\"rank\":7,", "\"rank\":8,", "vocab[7].rank"),
            ("\"rank\":7,", "\"rank\":-1,", "not a tekken"),
            ("\"Bw==\"", "\"CA==\"", "vocab[7]"),
            ("\"Bw==\"", "\"Bw\"", "vocab[7].token_bytes"),
            ("\"Bw==\"", "\"\"", "vocab[7].token_bytes is empty"),
            ("\\\\p{N}|", "", "config.pattern"),
            (
                "{\"config\"",
                "{\"image\":{\"image_patch_size\":0,\"max_image_size\":1},\"config\"",
                "image sizes",
            ),
            (
                "{\"config\"",
                "{\"special_tokens\":[{\"rank\":40,\"token_str\":\"a\"}],\"config\"",
                "special_tokens[0]",
            ),
            (
                "{\"config\"",
                "{\"special_tokens\":[{\"rank\":1,\"token_str\":\"a\"}],\"config\"",
                "lacks <s>",
            ),
            (
                "{\"config\"",
                "{\"model_settings_builder\":{},\"config\"",
                "needs version v15",
            ),
            ("\"vocab\"", "\"words\"", "not a tekken"),
        ];
        for (from, to, expected) in table {
            let error = read_changed(from, to).expect_err(to);
            assert!(
                error.starts_with("tekken.json: ") && error.contains(expected),
                "{error}"
            );
        }
    }
}
