//! How much a request asks the model to think, in whichever of the field's ways it says so.
//!
//! OpenAI's clients may name any of their levels: the lower half (minimal, low) becomes the least that the model offers,
//! the upper half (medium, xhigh, max) the most. Mistral's form is held to what the model offers, as its maker does.

use super::fields::Fields;
use crate::error::{ApiError, Dialect, Kind};
use chat::json::Value;
use chat::message::ReasoningEffort;
use chat::tekken::EffortSetting;

/// The response header that tells the effort in effect.
pub const HEADER: &str = "x-tramontane-reasoning-effort";

/// The effort a request asks for, as the model offers it; none: its default, or that it offers none.
///
/// # Errors
/// [`Kind::Field`] for what is no effort; [`Kind::Effort`] in Mistral's form for what the model does not offer.
pub fn choose(
    fields: Fields<'_>,
    dialect: Dialect,
    offered: Option<&EffortSetting>,
) -> Result<Option<ReasoningEffort>, ApiError> {
    if let Some(mode) = fields.text("prompt_mode")? {
        let message =
            format!("prompt_mode={mode:?} is not enabled for this model; use reasoning_effort");
        return Err(ApiError::new(Kind::Effort, message).about("prompt_mode"));
    }
    let named = named(fields, "reasoning_effort")?;
    let wished = match named {
        Some(effort) => Some(effort),
        None => match by_reasoning(fields)? {
            Some(effort) => Some(effort),
            None => by_template(fields)?,
        },
    };
    match (wished, offered, dialect) {
        (None, ..) => Ok(None),
        // Refused by the model's own rules when the conversation is judged.
        (Some(_), None, Dialect::Mistral) => Ok(named),
        (Some(_), None, Dialect::OpenAi) => Ok(None),
        (Some(wished), Some(offered), Dialect::Mistral) if named.is_some() => {
            native(wished, offered).map(Some)
        }
        (Some(wished), Some(offered), _) => Ok(Some(nearest(wished, offered))),
    }
}

fn named(fields: Fields<'_>, name: &str) -> Result<Option<ReasoningEffort>, ApiError> {
    let Some(text) = fields.text(name)? else {
        return Ok(None);
    };
    ReasoningEffort::from_name(text).map(Some).ok_or_else(|| {
        let names = ReasoningEffort::ALL.map(ReasoningEffort::name).join(", ");
        let shown: String = text.chars().take(40).collect();
        ApiError::field(name, format!("expected one of {names}, got {shown:?}"))
    })
}

/// `reasoning: {"enabled": bool, "effort": …, "max_tokens": …}`, of OpenRouter, Together and OpenAI's Responses.
fn by_reasoning(fields: Fields<'_>) -> Result<Option<ReasoningEffort>, ApiError> {
    let Some(reasoning) = fields.object("reasoning")? else {
        return Ok(None);
    };
    match reasoning.boolean("enabled")? {
        Some(false) => return Ok(Some(ReasoningEffort::None)),
        Some(true) => return Ok(Some(ReasoningEffort::High)),
        None => {}
    }
    let budget = reasoning.count("max_tokens", 0)?;
    let by_budget = budget.map(|tokens| match tokens {
        0 => ReasoningEffort::None,
        _ => ReasoningEffort::High,
    });
    Ok(named(reasoning, "effort")?.or(by_budget))
}

/// `chat_template_kwargs`, of vLLM: what other models' templates read.
fn by_template(fields: Fields<'_>) -> Result<Option<ReasoningEffort>, ApiError> {
    let Some(given) = fields.object("chat_template_kwargs")? else {
        return Ok(None);
    };
    if let Some(effort) = named(given, "reasoning_effort")? {
        return Ok(Some(effort));
    }
    let switch = ["enable_thinking", "thinking"]
        .into_iter()
        .find_map(|name| given.get(name));
    Ok(match switch {
        Some(Value::Bool(true)) => Some(ReasoningEffort::High),
        Some(Value::Bool(false)) => Some(ReasoningEffort::None),
        _ => None,
    })
}

/// The maker's rule: what is not offered is refused.
fn native(wished: ReasoningEffort, offered: &EffortSetting) -> Result<ReasoningEffort, ApiError> {
    if offered.values.contains(&wished) {
        return Ok(wished);
    }
    let names: Vec<String> = offered
        .values
        .iter()
        .map(|effort| format!("'{}'", effort.name()))
        .collect();
    let message = format!(
        "reasoning_effort='{}' is not supported for this model. Must be one of ({})",
        wished.name(),
        names.join(", ")
    );
    Err(ApiError::new(Kind::Effort, message))
}

fn nearest(wished: ReasoningEffort, offered: &EffortSetting) -> ReasoningEffort {
    let level = |effort: &ReasoningEffort| {
        ReasoningEffort::ALL
            .iter()
            .position(|known| known == effort)
    };
    if offered.values.contains(&wished) {
        return wished;
    }
    let found = match level(&wished) < level(&ReasoningEffort::Medium) {
        true => offered.values.iter().min_by_key(|effort| level(effort)),
        false => offered.values.iter().max_by_key(|effort| level(effort)),
    };
    found.copied().unwrap_or(offered.default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::parse;

    const OFFERED: [ReasoningEffort; 2] = [ReasoningEffort::None, ReasoningEffort::High];

    fn chosen(body: &str, dialect: Dialect) -> Result<Option<&'static str>, ApiError> {
        let offered = EffortSetting {
            values: OFFERED.to_vec(),
            default: ReasoningEffort::None,
        };
        let body = parse(body.as_bytes())?;
        let effort = choose(Fields::new(&body), dialect, Some(&offered))?;
        Ok(effort.map(ReasoningEffort::name))
    }

    #[test]
    fn every_openai_level_has_a_meaning() {
        let table = [
            (r#"{}"#, None),
            (r#"{"reasoning_effort": null}"#, None),
            (r#"{"reasoning_effort": "none"}"#, Some("none")),
            (r#"{"reasoning_effort": "minimal"}"#, Some("none")),
            (r#"{"reasoning_effort": "low"}"#, Some("none")),
            (r#"{"reasoning_effort": "medium"}"#, Some("high")),
            (r#"{"reasoning_effort": "high"}"#, Some("high")),
            (r#"{"reasoning_effort": "xhigh"}"#, Some("high")),
            (r#"{"reasoning_effort": "max"}"#, Some("high")),
            (r#"{"reasoning": {"enabled": true}}"#, Some("high")),
            (r#"{"reasoning": {"enabled": false}}"#, Some("none")),
            (r#"{"reasoning": {"effort": "low"}}"#, Some("none")),
            (r#"{"reasoning": {"effort": "medium"}}"#, Some("high")),
            (r#"{"reasoning": {"max_tokens": 100}}"#, Some("high")),
            (r#"{"reasoning": {}}"#, None),
            (
                r#"{"chat_template_kwargs": {"enable_thinking": true}}"#,
                Some("high"),
            ),
            (
                r#"{"chat_template_kwargs": {"reasoning_effort": "none"}}"#,
                Some("none"),
            ),
            (
                r#"{"reasoning_effort": "none", "reasoning": {"enabled": true}}"#,
                Some("none"),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(chosen(body, Dialect::OpenAi), Ok(expected), "{body}");
        }
        for body in [
            r#"{"reasoning_effort": "some"}"#,
            r#"{"reasoning_effort": 1}"#,
            r#"{"reasoning": true}"#,
        ] {
            let error = chosen(body, Dialect::OpenAi).unwrap_err();
            assert_eq!(error.kind, Kind::Field, "{body}");
        }
    }

    #[test]
    fn mistrals_form_is_held_to_what_is_offered() {
        assert_eq!(
            chosen(r#"{"reasoning_effort": "high"}"#, Dialect::Mistral),
            Ok(Some("high"))
        );
        assert_eq!(
            chosen(r#"{"reasoning": {"enabled": true}}"#, Dialect::Mistral),
            Ok(Some("high"))
        );
        for body in [
            r#"{"reasoning_effort": "medium"}"#,
            r#"{"prompt_mode": "reasoning"}"#,
        ] {
            let error = chosen(body, Dialect::Mistral).unwrap_err();
            let body = error.body(Dialect::Mistral);
            assert_eq!(
                (body["code"].as_str(), body["raw_status_code"].as_u64()),
                (Some("3051"), Some(400))
            );
        }
    }
}
