//! What several rounds say together, as a Markdown table.

use super::Test;
use std::fmt::Write;

/// What one run of a program says of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub test: Test,
    /// Tokens a second, of all sequences together.
    pub speed: f64,
    /// The lower one of its limits and the share of it that was reached.
    pub limit: Option<(String, f64)>,
}

/// A row a test: each side's median speed, the first side's speed over each other's, and the share of the limit.
///
/// Shapes: `readings[side][round]`; the ratio is the median of the rounds' ratios, since a round's turns lie close
/// together in time.
pub fn table(sides: &[&str], tests: &[Test], readings: &[Vec<Vec<Reading>>]) -> String {
    let mut out = format!("\n| test | {} |", sides[0]);
    for side in &sides[1..] {
        let _ = write!(out, " {side} | ratio |");
    }
    out.push_str(" share of the limit |\n|");
    out.push_str(&"---|".repeat(2 * sides.len() + 1));
    for test in tests {
        let speeds: Vec<Vec<Option<f64>>> = readings
            .iter()
            .map(|rounds| rounds.iter().map(|round| speed(round, *test)).collect())
            .collect();
        let _ = write!(out, "\n| {} | {} |", test.name(), spread(&speeds[0]));
        for other in &speeds[1..] {
            let pairs = speeds[0].iter().zip(other);
            let ratios: Vec<Option<f64>> = pairs
                .map(|(ours, theirs)| Some(ours.as_ref()? / theirs.as_ref()?))
                .collect();
            let _ = write!(out, " {} | {} |", spread(other), spread(&ratios));
        }
        let _ = write!(out, " {} |", share(&readings[0], *test));
    }
    out
}

fn speed(round: &[Reading], test: Test) -> Option<f64> {
    let found = round.iter().find(|reading| reading.test == test);
    found.map(|reading| reading.speed)
}

/// `median (least–most)` of the values there are.
fn spread(values: &[Option<f64>]) -> String {
    let values: Vec<f64> = values.iter().copied().flatten().collect();
    let Some(middle) = median(&values) else {
        return "-".into();
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{} ({}–{})", digits(middle), digits(least), digits(most))
}

/// The share in the middle, with the limit's name.
fn share(rounds: &[Vec<Reading>], test: Test) -> String {
    let readings = rounds.iter().flatten().filter(|r| r.test == test);
    let limits: Vec<&(String, f64)> = readings.filter_map(|r| r.limit.as_ref()).collect();
    let shares: Vec<f64> = limits.iter().map(|(_, share)| *share).collect();
    let Some(middle) = median(&shares) else {
        return "-".into();
    };
    let mut names: Vec<&str> = limits.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    format!("{:.0} % of {}", 100.0 * middle, names.join(" or "))
}

/// The value in the middle, or the mean of the two there; none of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0)
}

/// Three digits or so.
fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

impl Test {
    /// As the table has it.
    pub fn name(self) -> String {
        match self {
            Test::Prefill(tokens) => format!("prefill {tokens}"),
            Test::Decode {
                tokens,
                batch,
                depth: 0,
            } => format!("decode {tokens}, batch {batch}"),
            Test::Decode {
                tokens,
                batch,
                depth,
            } => format!("decode {tokens}, batch {batch}, depth {depth}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_several() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[5.0]), Some(5.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rounds_become_a_table() {
        let (prefill, decode) = (
            Test::Prefill(512),
            Test::Decode {
                tokens: 32,
                batch: 4,
                depth: 0,
            },
        );
        let reading = |test, speed, limit: Option<(&str, f64)>| Reading {
            test,
            speed,
            limit: limit.map(|(name, share)| (name.to_owned(), share)),
        };
        let round = |prompt, reply, share| {
            vec![
                reading(prefill, prompt, Some(("arithmetic", share))),
                reading(decode, reply, None),
            ]
        };
        let ours = vec![
            round(400.0, 30.0, 0.30),
            round(440.0, 33.0, 0.33),
            round(360.0, 36.0, 0.27),
        ];
        // The second round was slow for both sides: its ratio is like the others'.
        let theirs = [200.0, 220.0, 150.0].map(|speed| vec![reading(prefill, speed, None)]);
        let text = table(
            &["Tramontane", "llama.cpp"],
            &[prefill, decode],
            &[ours, theirs.into()],
        );
        let expected = "
| test | Tramontane | llama.cpp | ratio | share of the limit |
|---|---|---|---|---|
| prefill 512 | 400 (360–440) | 200 (150–220) | 2.00 (2.00–2.40) | 30 % of arithmetic |
| decode 32, batch 4 | 33.0 (30.0–36.0) | - | - | - |";
        assert_eq!(text, expected);
    }
}
