//! The programs that are compared: how each is told what to time, and what its answer means.

use super::table::{Reading, median};
use super::{Plan, Test};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// llama.cpp gives each sequence a cache of a multiple of this.
const CACHE_STEP: usize = 256;

/// Whose way of being asked and of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `tramontane bench --json`.
    Tramontane,
    /// `llama-bench -o json`: prompts, and replies to one request.
    LlamaBench,
    /// `llama-batched-bench`, whose table both engines print alike: replies to several.
    BatchedBench,
}

/// A program of an engine.
pub struct Program {
    pub kind: Kind,
    pub path: PathBuf,
    /// Its own flags, behind ours.
    pub flags: Vec<String>,
}

impl Program {
    /// Runs it once.
    ///
    /// # Errors
    /// It fails, or says nothing that can be read.
    pub fn run(&self, plan: &Plan) -> Result<Vec<Reading>> {
        let mut readings = Vec::new();
        for arguments in self.arguments(plan) {
            let output = Command::new(&self.path)
                .args(&arguments)
                .stdin(Stdio::null())
                .output()
                .with_context(|| format!("cannot start {}", self.path.display()))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!("{} failed:\n{said}", self.shown(&arguments));
            }
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            if self.kind == Kind::BatchedBench {
                text += &String::from_utf8_lossy(&output.stderr); // where ik_llama.cpp's prints it
            }
            let found = self.kind.read(&text, plan)?;
            if found.is_empty() {
                bail!("{} said nothing of use:\n{text}", self.shown(&arguments));
            }
            readings.extend(found);
        }
        Ok(readings)
    }

    /// The command as one would type it.
    pub fn shown(&self, arguments: &[String]) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("{} {}", name.to_string_lossy(), arguments.join(" "))
    }

    /// The arguments of each of its runs: none where the plan has nothing for it.
    pub fn arguments(&self, plan: &Plan) -> Vec<Vec<String>> {
        let runs = match self.kind {
            Kind::Tramontane => vec![tramontane(plan)],
            Kind::LlamaBench => llama_bench(plan),
            Kind::BatchedBench => batched_bench(plan),
        };
        let with_flags = |run: Vec<String>| run.into_iter().chain(self.flags.clone()).collect();
        runs.into_iter().map(with_flags).collect()
    }
}

fn list(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(",")
}

fn words(pairs: &[(&str, String)]) -> Vec<String> {
    let words = pairs
        .iter()
        .flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    words.filter(|word| !word.is_empty()).collect()
}

fn tramontane(plan: &Plan) -> Vec<String> {
    words(&[
        ("bench", String::new()),
        ("-m", plan.model.clone()),
        ("--prompt", list(&plan.prompt)),
        ("--generate", list(&plan.generate)),
        ("--batch", list(&plan.batch)),
        ("--depth", list(&plan.depth)),
        ("--repeat", plan.repeat.to_string()),
        ("--json", String::new()),
        ("--quiet", String::new()),
    ])
}

/// Its depth holds for prompts too, so they take a run of their own where there is one.
fn llama_bench(plan: &Plan) -> Vec<Vec<String>> {
    let run = |prompt: String, generate: String, depth: String| {
        let mut words = words(&[
            ("-m", plan.model.clone()),
            ("-p", prompt),
            ("-n", generate),
            ("-r", plan.repeat.to_string()),
            ("-o", "json".into()),
        ]);
        if depth != "0" {
            words.extend(["-d".into(), depth]);
        }
        words
    };
    let (none, prompt) = (|| "0".to_owned(), list(&plan.prompt));
    let (generate, depth) = (list(&plan.generate), list(&plan.depth));
    match (plan.batch.contains(&1), depth == "0") {
        (false, _) => vec![run(prompt, none(), none())],
        (true, true) => vec![run(prompt, generate, none())],
        (true, false) => vec![run(prompt, none(), none()), run(none(), generate, depth)],
    }
}

fn batched_bench(plan: &Plan) -> Vec<Vec<String>> {
    let batches: Vec<usize> = plan.batch.iter().copied().filter(|&n| n > 1).collect();
    let (Some(most), Some(depth), Some(tokens)) = (
        batches.iter().max(),
        plan.depth.iter().max(),
        plan.generate.iter().max(),
    ) else {
        return Vec::new();
    };
    let cache = most * (cached(*depth) + tokens).next_multiple_of(CACHE_STEP);
    let depths: Vec<usize> = plan.depth.iter().map(|&depth| cached(depth)).collect();
    vec![words(&[
        ("-m", plan.model.clone()),
        ("-npp", list(&depths)),
        ("-ntg", list(&plan.generate)),
        ("-npl", list(&batches)),
        ("-c", cache.to_string()),
    ])]
}

/// It wants a prompt: of one token where the cache should be empty.
fn cached(depth: usize) -> usize {
    depth.max(1)
}

impl Kind {
    /// What the program's output says of the plan's tests.
    ///
    /// # Errors
    /// Not the form it has.
    pub fn read(self, text: &str, plan: &Plan) -> Result<Vec<Reading>> {
        let values: Vec<Value> = match self {
            Kind::BatchedBench => return read_table(text, plan),
            Kind::LlamaBench => serde_json::from_str(text).context("llama-bench's JSON")?,
            // Beside rows a program may print lines for people.
            Kind::Tramontane => text
                .lines()
                .filter(|line| line.starts_with('{'))
                .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
                .collect::<Result<_>>()?,
        };
        let read = match self {
            Kind::Tramontane => read_tramontane,
            _ => read_llama_bench,
        };
        let rows = values.iter().map(|value| {
            read(value).with_context(|| format!("a row that is not understood: {value}"))
        });
        rows.collect()
    }
}

fn count(value: &Value, field: &str) -> Option<usize> {
    usize::try_from(value[field].as_u64()?).ok()
}

fn read_tramontane(row: &Value) -> Option<Reading> {
    let (kind, tokens) = row["test"].as_str()?.split_at_checked(2)?;
    let tokens = tokens.parse().ok()?;
    let test = match kind {
        "pp" => Test::Prefill(tokens),
        _ => Test::Decode {
            tokens,
            batch: count(row, "batch")?,
            depth: count(row, "depth")?,
        },
    };
    // Binaries of old do not say what limits them.
    let limit = row["limit"].as_str().zip(row["limit_share"].as_f64());
    Some(Reading {
        test,
        speed: row["tokens_per_second"].as_f64()?,
        limit: limit.map(|(name, share)| (name.to_owned(), share)),
    })
}

fn read_llama_bench(row: &Value) -> Option<Reading> {
    let samples: Option<Vec<f64>> = row["samples_ts"]
        .as_array()?
        .iter()
        .map(Value::as_f64)
        .collect();
    let test = match (count(row, "n_prompt")?, count(row, "n_gen")?) {
        (tokens, 0) => Test::Prefill(tokens),
        (_, tokens) => Test::Decode {
            tokens,
            batch: 1,
            depth: count(row, "n_depth").unwrap_or(0),
        },
    };
    Some(Reading {
        test,
        speed: median(&samples?)?,
        limit: None,
    })
}

/// Rows of `| PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | ...`; other lines are for people.
fn read_table(text: &str, plan: &Plan) -> Result<Vec<Reading>> {
    let numbers = |line: &str| -> Option<Vec<f64>> {
        let cells = line
            .strip_prefix('|')?
            .trim_end()
            .strip_suffix('|')?
            .split('|');
        cells.map(|cell| cell.trim().parse().ok()).collect()
    };
    let read = |row: Vec<f64>| {
        let &[prompt, tokens, batch, _, _, _, _, speed, ..] = row.as_slice() else {
            return None;
        };
        let mut depths = plan.depth.iter().copied();
        Some(Reading {
            test: Test::Decode {
                tokens: tokens as usize,
                batch: batch as usize,
                depth: depths.find(|&depth| cached(depth) == prompt as usize)?,
            },
            speed,
            limit: None,
        })
    };
    let rows = text.lines().filter_map(numbers);
    rows.map(|row| read(row).context("a row of llama-batched-bench that was not asked for"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            model: "f.gguf".into(),
            prompt: vec![128, 512],
            generate: vec![32],
            batch: vec![1, 4],
            depth: vec![0],
            repeat: 2,
        }
    }

    fn decode(batch: usize, depth: usize) -> Test {
        Test::Decode {
            tokens: 32,
            batch,
            depth,
        }
    }

    #[test]
    fn our_rows_are_read() {
        let text = r#"{"test":"pp512","batch":1,"depth":0,"tokens_per_second":560.5,"stdev":1.0,"roofline_share":0.14,"limit":"arithmetic","limit_share":0.4}
{"test":"tg32","batch":4,"depth":64,"tokens_per_second":69.0,"stdev":0.5,"roofline_share":0.63}"#;
        let rows = Kind::Tramontane.read(text, &plan()).unwrap();
        assert_eq!((rows[0].test, rows[0].speed), (Test::Prefill(512), 560.5));
        assert_eq!(rows[0].limit, Some(("arithmetic".to_owned(), 0.4)));
        assert_eq!((rows[1].test, rows[1].speed), (decode(4, 64), 69.0));
        assert_eq!(rows[1].limit, None);
        assert!(Kind::Tramontane.read(r#"{"tests":1}"#, &plan()).is_err());
    }

    /// Two rows of llama.cpp's, cut down to the fields that stand beside those that are read.
    #[test]
    fn llama_benchs_rows_are_read() {
        let text = r#"[
  {"build_commit": "0c1e570", "n_threads": 2, "n_prompt": 16, "n_gen": 0, "n_depth": 0,
   "avg_ts": 89.49, "samples_ns": [117611901, 372507489], "samples_ts": [136.0, 43.0]},
  {"build_commit": "0c1e570", "n_threads": 2, "n_prompt": 0, "n_gen": 32, "n_depth": 1024,
   "avg_ts": 34.77, "samples_ns": [1, 2, 3], "samples_ts": [57.5, 12.25, 40.0]}
]"#;
        let rows = Kind::LlamaBench.read(text, &plan()).unwrap();
        assert_eq!((rows[0].test, rows[0].speed), (Test::Prefill(16), 89.5));
        assert_eq!((rows[1].test, rows[1].speed), (decode(1, 1024), 40.0));
        assert!(Kind::LlamaBench.read("no JSON", &plan()).is_err());
    }

    #[test]
    fn batched_rows_are_read_beside_other_lines() {
        let text = "main: n_kv_max = 1024\n\n\
            |    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n\
            |-------|--------|------|--------|----------|----------|----------|----------|----------|----------|\n\
            |     1 |     32 |    4 |    132 |    0.040 |   100.91 |    0.933 |    37.50 |    0.973 |    69.90 |\n\n";
        let rows = Kind::BatchedBench.read(text, &plan()).unwrap();
        assert_eq!((rows[0].test, rows[0].speed), (decode(4, 0), 37.5));
        assert_eq!(rows.len(), 1);
        let other = text.replace("|     1 |", "|     7 |");
        assert!(Kind::BatchedBench.read(&other, &plan()).is_err());
    }

    #[test]
    fn each_program_is_asked_for_its_share() {
        let arguments = |kind, plan: &Plan| {
            let program = Program {
                kind,
                path: "somewhere/program".into(),
                flags: vec!["-t".into(), "2".into()],
            };
            let runs = program.arguments(plan);
            let shown = runs.iter().map(|run| program.shown(run));
            shown.collect::<Vec<String>>()
        };
        let mut plan = plan();
        assert_eq!(
            arguments(Kind::Tramontane, &plan),
            [
                "program bench -m f.gguf --prompt 128,512 --generate 32 --batch 1,4 --depth 0 --repeat 2 --json --quiet -t 2"
            ]
        );
        assert_eq!(
            arguments(Kind::LlamaBench, &plan),
            ["program -m f.gguf -p 128,512 -n 32 -r 2 -o json -t 2"]
        );
        assert_eq!(
            arguments(Kind::BatchedBench, &plan),
            ["program -m f.gguf -npp 1 -ntg 32 -npl 4 -c 1024 -t 2"]
        );
        plan.depth = vec![0, 1024];
        assert_eq!(
            arguments(Kind::LlamaBench, &plan),
            [
                "program -m f.gguf -p 128,512 -n 0 -r 2 -o json -t 2",
                "program -m f.gguf -p 0 -n 32 -r 2 -o json -d 0,1024 -t 2"
            ]
        );
        plan.batch = vec![1];
        assert!(arguments(Kind::BatchedBench, &plan).is_empty());
    }
}
