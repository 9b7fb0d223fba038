//! Speed of one file in several programs, turn by turn in one run: this tree against an earlier binary, or against
//! llama.cpp and its kin. Only ratios within such a run mean something; the table says how far the turns lay apart.

mod program;
mod table;

use crate::server::binary;
use anyhow::{Context, Result, bail};
use program::{Kind, Program};
use std::path::{Path, PathBuf};
use table::{Reading, table};

/// Flags with a value, and what holds otherwise. Those that end in `-bench` name a peer's program.
const SETTINGS: [(&str, &str); 16] = [
    ("--model", ""),
    ("--rounds", "5"),
    ("--prompt", "512"),
    ("--generate", "32"),
    ("--batch", "1"),
    ("--depth", "0"),
    ("--repeat", "1"),
    ("--before", ""),
    ("--llama-bench", ""),
    ("--llama-batched-bench", ""),
    ("--ik-llama-bench", ""),
    ("--ik-llama-batched-bench", ""),
    ("--flags", ""),
    ("--peer-flags", ""),
    ("--ik-flags", ""),
    ("--ik-batched-flags", ""),
];

/// One thing that is timed. Speeds are of all sequences together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// A prompt of so many tokens.
    Prefill(usize),
    /// A reply.
    Decode {
        /// Tokens of it.
        tokens: usize,
        /// Sequences at once.
        batch: usize,
        /// Tokens already in the cache.
        depth: usize,
    },
}

/// What to time, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    pub model: String,
    pub prompt: Vec<usize>,
    pub generate: Vec<usize>,
    pub batch: Vec<usize>,
    pub depth: Vec<usize>,
    pub repeat: usize,
}

/// What takes part: one engine, with a program for each kind of test.
struct Side {
    name: &'static str,
    programs: Vec<Program>,
}

/// Runs all sides in turns and prints the table.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let values = parse(args)?;
    let value = |name: &str| -> &str {
        let index = SETTINGS.iter().position(|(setting, _)| *setting == name);
        index.map_or("", |index| &values[index])
    };
    let plan = Plan {
        model: value("--model").to_owned(),
        prompt: numbers(value("--prompt"))?,
        generate: numbers(value("--generate"))?,
        batch: numbers(value("--batch"))?,
        depth: numbers(value("--depth"))?,
        repeat: number(value("--repeat"))?,
    };
    let rounds = number(value("--rounds"))?;
    if plan.model.is_empty() || rounds == 0 {
        bail!("bench needs -m FILE, and at least one round");
    }
    let sides = sides(root, &value)?;
    for side in &sides {
        for program in &side.programs {
            for arguments in program.arguments(&plan) {
                println!("{}: `{}`", side.name, program.shown(&arguments));
            }
        }
    }
    let readings = turns(&sides, &plan, rounds)?;
    println!(
        "\n{rounds} rounds, in turns; medians, and (least–most)\n{}",
        table(&names(&sides), &plan.tests(), &readings)
    );
    Ok(())
}

/// Who takes part, this tree first.
fn sides<'a>(root: &Path, value: &impl Fn(&str) -> &'a str) -> Result<Vec<Side>> {
    let flags = |name| -> Vec<String> { value(name).split_whitespace().map(Into::into).collect() };
    let ours = |name, path: PathBuf| Side {
        name,
        programs: vec![Program {
            kind: Kind::Tramontane,
            path,
            flags: flags("--flags"),
        }],
    };
    let mut sides = vec![ours("Tramontane", binary(root, "release")?)];
    if !value("--before").is_empty() {
        sides.push(ours("before", value("--before").into()));
    }
    // ik_llama.cpp's two programs spell the same flags differently.
    let peers = [
        (
            "llama.cpp",
            ("--llama-bench", "--peer-flags"),
            ("--llama-batched-bench", "--peer-flags"),
        ),
        (
            "ik_llama.cpp",
            ("--ik-llama-bench", "--ik-flags"),
            ("--ik-llama-batched-bench", "--ik-batched-flags"),
        ),
    ];
    for (name, bench, batched) in peers {
        let kinds = [(Kind::LlamaBench, bench), (Kind::BatchedBench, batched)];
        let given = kinds
            .into_iter()
            .filter(|(_, (path, _))| !value(path).is_empty());
        let programs: Vec<Program> = given
            .map(|(kind, (path, its_flags))| Program {
                kind,
                path: value(path).into(),
                flags: flags(its_flags),
            })
            .collect();
        if !programs.is_empty() {
            sides.push(Side { name, programs });
        }
    }
    Ok(sides)
}

fn names(sides: &[Side]) -> Vec<&str> {
    sides.iter().map(|side| side.name).collect()
}

/// `readings[side][round]`: every side once a round, every other round in the opposite order, so that a machine which
/// becomes slower hurts all alike.
fn turns(sides: &[Side], plan: &Plan, rounds: usize) -> Result<Vec<Vec<Vec<Reading>>>> {
    let mut readings = vec![Vec::new(); sides.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for side in order {
            let name = sides[side].name;
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let mut found = Vec::new();
            for program in &sides[side].programs {
                found.extend(program.run(plan).with_context(|| name.to_owned())?);
            }
            readings[side].push(found);
        }
    }
    Ok(readings)
}

impl Plan {
    /// All tests, in the order of the table.
    pub fn tests(&self) -> Vec<Test> {
        let mut tests: Vec<Test> = self.prompt.iter().copied().map(Test::Prefill).collect();
        for &tokens in &self.generate {
            for &batch in &self.batch {
                tests.extend(self.depth.iter().map(|&depth| Test::Decode {
                    tokens,
                    batch,
                    depth,
                }));
            }
        }
        tests
    }
}

/// The values of [`SETTINGS`].
fn parse(args: &[String]) -> Result<Vec<String>> {
    let mut values: Vec<String> = SETTINGS.map(|(_, default)| default.to_owned()).into();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let name = if arg == "-m" { "--model" } else { arg };
        let known = SETTINGS.iter().position(|(setting, _)| *setting == name);
        let names = SETTINGS.map(|(setting, _)| setting).join(", ");
        let index = known.with_context(|| format!("{arg} is none of {names}"))?;
        values[index] = args
            .next()
            .with_context(|| format!("{arg} needs a value"))?
            .clone();
    }
    Ok(values)
}

fn numbers(text: &str) -> Result<Vec<usize>> {
    text.split(',').map(number).collect()
}

fn number(text: &str) -> Result<usize> {
    text.trim()
        .parse()
        .with_context(|| format!("`{text}` is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_defaults_and_strangers_are_refused() {
        let args = |text: &str| -> Vec<String> { text.split(' ').map(Into::into).collect() };
        let values = parse(&args("-m f.gguf --prompt 128,512 --peer-flags -fa")).unwrap();
        assert_eq!(values[0], "f.gguf");
        assert_eq!(numbers(&values[2]).unwrap(), [128, 512]);
        assert_eq!(values[1], "5");
        assert_eq!(values[13], "-fa");
        assert!(parse(&args("--speed 1")).is_err());
        assert!(parse(&args("--rounds")).is_err());
        assert!(numbers("1,x").is_err());
    }
}
