//! Python's string methods that templates use and minijinja's collection lacks.
//!
//! Must not know: anything but text.

use minijinja::value::{Value as Jinja, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

/// Called for a method that minijinja does not know.
pub(super) fn unknown_method(
    state: &mut State<'_, '_>,
    value: &Jinja,
    method: &str,
    arguments: &[Jinja],
) -> Result<Jinja, Error> {
    if value.kind() == ValueKind::String
        && let Some(text) = value.as_str()
        && let Some(result) = string_method(text, method, arguments)
    {
        return result;
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

fn string_method(text: &str, method: &str, arguments: &[Jinja]) -> Option<Result<Jinja, Error>> {
    Some(match method {
        "removeprefix" => from_args(arguments)
            .map(|(prefix,): (&str,)| text.strip_prefix(prefix).unwrap_or(text).into()),
        "removesuffix" => from_args(arguments)
            .map(|(suffix,): (&str,)| text.strip_suffix(suffix).unwrap_or(text).into()),
        "partition" => {
            from_args(arguments).map(|(separator,): (&str,)| match text.split_once(separator) {
                Some((before, after)) => parts([before, separator, after]),
                None => parts([text, "", ""]),
            })
        }
        "rpartition" => {
            from_args(arguments).map(|(separator,): (&str,)| match text.rsplit_once(separator) {
                Some((before, after)) => parts([before, separator, after]),
                None => parts(["", "", text]),
            })
        }
        "index" => from_args(arguments).and_then(|(needle,): (&str,)| match text.find(needle) {
            Some(at) => Ok(text[..at].chars().count().into()),
            None => Err(Error::new(
                ErrorKind::InvalidOperation,
                "substring not found",
            )),
        }),
        "rsplit" => from_args(arguments).map(|(separator, limit): (Option<&str>, Option<i64>)| {
            Jinja::from(rsplit(
                text,
                separator,
                limit.and_then(|limit| usize::try_from(limit).ok()),
            ))
        }),
        _ => return None,
    })
}

fn parts(parts: [&str; 3]) -> Jinja {
    Jinja::from((parts[0], parts[1], parts[2]))
}

fn rsplit(text: &str, separator: Option<&str>, limit: Option<usize>) -> Vec<String> {
    let pieces = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut found: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(pieces, separator).collect(),
        None => {
            let mut found = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                let start = rest
                    .char_indices()
                    .rev()
                    .find(|(_, letter)| letter.is_whitespace());
                match start {
                    Some((at, letter)) if found.len() + 1 < pieces => {
                        found.push(&rest[at + letter.len_utf8()..]);
                        rest = rest[..at].trim_end();
                    }
                    _ => {
                        found.push(rest);
                        break;
                    }
                }
            }
            found
        }
    };
    found.reverse();
    found.into_iter().map(str::to_owned).collect()
}
