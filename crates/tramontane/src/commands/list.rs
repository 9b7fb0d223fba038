//! `list`: the models in the cache.

use crate::hub::{Cache, Kept, printable};
use crate::load::bytes;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::io::{Write, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

/// Shown below `--help`.
pub const HELP: &str = "Give a NAME to `-m` as it stands here: tramontane run -m owner/repo:Q4_K_M
The cache is the one of the hub's Python library; HF_HOME and HF_HUB_CACHE say where it is.";

/// `list`.
#[derive(Args, Debug, Clone)]
pub struct ListArgs {
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Lists the models.
pub fn run(args: &ListArgs) -> Result<()> {
    let cache = Cache::from_env()?;
    let kept: Vec<Kept> = cache
        .repos()
        .iter()
        .flat_map(|repo| cache.kept(repo))
        .collect();
    let mut out = stdout().lock();
    if args.json {
        for kept in &kept {
            writeln!(out, "{}", as_json(kept))?;
        }
        return Ok(());
    }
    if kept.is_empty() {
        writeln!(out, "no models in {}", cache.root.display())?;
        return Ok(());
    }
    let heads = ["NAME", "VARIANT", "REVISION", "SIZE", "LAST USED", "PATH"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(kept.iter().map(row)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let [name, variant, revision, size, used, path] = row;
        let [a, b, c, d, e, _] = widths;
        writeln!(
            out,
            "{name:a$}  {variant:b$}  {revision:c$}  {size:>d$}  {used:e$}  {path}"
        )?;
    }
    Ok(())
}

fn row(kept: &Kept) -> [String; 6] {
    let size = kept.form.bytes.map_or("?".to_owned(), bytes);
    [
        kept.repo.to_string(),
        printable(&kept.form.label),
        match kept.refs.first() {
            Some(name) => printable(name),
            None => kept.commit.as_str()[..12].to_owned(),
        },
        match &kept.lacks {
            None => size,
            Some(_) => format!("{size}, incomplete"),
        },
        kept.last_used
            .map_or("?".to_owned(), |then| ago(then, SystemTime::now())),
        kept.path.display().to_string(),
    ]
}

fn as_json(kept: &Kept) -> serde_json::Value {
    let seconds = |then: SystemTime| then.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs());
    json!({
        "name": kept.repo.as_str(),
        "variant": kept.form.label,
        "commit": kept.commit.as_str(),
        "revisions": kept.refs,
        "size_bytes": kept.form.bytes,
        "complete": kept.lacks.is_none(),
        "path": kept.path.display().to_string(),
        "last_used_unix": kept.last_used.and_then(seconds),
    })
}

/// How long ago something was, in its largest unit.
fn ago(then: SystemTime, now: SystemTime) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400 * 7, "week"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    let seconds = now.duration_since(then).map_or(0, |d| d.as_secs());
    match UNITS.iter().find(|(length, _)| seconds >= *length) {
        None => "just now".to_owned(),
        Some((length, unit)) => {
            let count = seconds / length;
            format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = UNIX_EPOCH + Duration::from_secs(100_000_000);
        for (seconds, text) in [
            (0, "just now"),
            (61, "1 minute ago"),
            (7_300, "2 hours ago"),
            (86_400, "1 day ago"),
            (86_400 * 30, "4 weeks ago"),
        ] {
            assert_eq!(ago(now - Duration::from_secs(seconds), now), text);
        }
        assert_eq!(ago(now + Duration::from_secs(5), now), "just now");
    }
}
