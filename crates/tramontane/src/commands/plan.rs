//! `inspect --plan`: the published forms of Mistral Small 4 against this machine.

use crate::args::ModelArgs;
use crate::load::bytes;
use crate::machine::{self, Memory};
use crate::plan::forms::{FORMS, Form, RECOMMENDED_CONTEXT};
use crate::plan::{self, Fit};
use kernels::KvType;
use serde::Serialize;
use std::io::{self, Write};

/// Contexts whose cache is priced.
const CONTEXTS: [usize; 4] = [4096, 32_768, 131_072, RECOMMENDED_CONTEXT];

/// What this machine can run.
#[derive(Serialize)]
pub struct Plan {
    #[serde(flatten)]
    memory: Memory,
    /// Bytes a second, all threads reading.
    bandwidth: f64,
    /// The context the verdicts are about.
    context: usize,
    kv_cache: Cache,
    forms: Vec<Line>,
}

#[derive(Serialize)]
struct Cache {
    #[serde(rename = "type")]
    kv_type: String,
    bytes_per_token: u64,
    contexts: Vec<Cost>,
}

#[derive(Serialize)]
struct Cost {
    tokens: usize,
    bytes: u64,
}

/// One form.
#[derive(Serialize)]
struct Line {
    form: &'static str,
    files: &'static str,
    runs_in_this_version: bool,
    weight_bytes: u64,
    /// What one decoded token reads, at an empty context.
    bytes_per_token: u64,
    #[serde(flatten)]
    fit: Fit,
    /// The bandwidth over what a token reads; none for what would be read from disk.
    decode_limit_tokens_per_second: Option<f64>,
}

impl Plan {
    /// For this machine, whose memory has been found to give so many bytes a second.
    pub fn new(args: &ModelArgs, bandwidth: f64) -> Plan {
        // The published forms are none of F32.
        let kv_type = args.kv_type.map_or(KvType::Bf16, KvType::from);
        let context = args.ctx.unwrap_or(RECOMMENDED_CONTEXT);
        Plan::of(machine::memory(), bandwidth, kv_type, context)
    }

    /// For a machine with this memory and bandwidth.
    fn of(memory: Memory, bandwidth: f64, kv_type: KvType, context: usize) -> Plan {
        let need = FORMS[0].need(kv_type);
        let context = context.clamp(1, need.max_context);
        let line = |form: &Form| {
            let fit = form.need(kv_type).fit(memory.available, context);
            let limit = plan::decode_limit(bandwidth, form.bytes_per_token());
            Line {
                form: form.name,
                files: form.files,
                runs_in_this_version: form.runs,
                weight_bytes: form.weight_bytes(),
                bytes_per_token: form.bytes_per_token(),
                fit,
                decode_limit_tokens_per_second: (!matches!(fit, Fit::No { .. })).then_some(limit),
            }
        };
        let mut contexts = CONTEXTS.to_vec();
        if !contexts.contains(&context) {
            contexts.push(context);
            contexts.sort_unstable();
        }
        let cost = |tokens| Cost {
            tokens,
            bytes: need.kv_bytes(tokens),
        };
        Plan {
            memory,
            bandwidth,
            context,
            kv_cache: Cache {
                kv_type: format!("{kv_type:?}").to_lowercase(),
                bytes_per_token: need.kv_per_token,
                contexts: contexts.into_iter().map(cost).collect(),
            },
            forms: FORMS.iter().map(line).collect(),
        }
    }

    /// Prints it as a table.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Mistral Small 4 on this machine")?;
        writeln!(
            out,
            "  memory: {}; bandwidth, measured now: {:.1} GB/s\n",
            describe(&self.memory),
            self.bandwidth / 1e9
        )?;
        writeln!(
            out,
            "  {:<8} {:<12} {:>10} {:>11} {:>9}  {:<36} this version",
            "form",
            "files",
            "weights",
            "read/token",
            "tokens/s",
            format!("with {} tokens of context", self.context)
        )?;
        for line in &self.forms {
            let speed = line.decode_limit_tokens_per_second;
            writeln!(
                out,
                "  {:<8} {:<12} {:>10} {:>11} {:>9}  {:<36} {}",
                line.form,
                line.files,
                bytes(line.weight_bytes),
                bytes(line.bytes_per_token),
                speed.map_or("-".into(), |speed| format!("<= {speed:.1}")),
                verdict(line.fit),
                match line.runs_in_this_version {
                    true => "runs it",
                    false => "not yet",
                }
            )?;
        }
        let cache = &self.kv_cache;
        write!(
            out,
            "\n  KV cache ({}): {} a token;",
            cache.kv_type,
            bytes(cache.bytes_per_token)
        )?;
        for (index, cost) in cache.contexts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma} {} tokens {}", cost.tokens, bytes(cost.bytes))?;
        }
        writeln!(
            out,
            "\n  tokens/s: the measured bandwidth over the bytes a token reads (4 of 128 experts and the shared one a layer,\n\
             \x20 attention, routers, the head), one sequence, an empty context: no engine can be faster here. A form that does\n\
             \x20 not fit would be read from disk for every token; it is refused at start unless --force is given."
        )
    }
}

/// Memory in words.
pub fn describe(memory: &Memory) -> String {
    let (Some(total), Some(free)) = (memory.total, memory.available) else {
        return "not known".into();
    };
    let of = match memory.limited {
        true => " that this control group may use",
        false => "",
    };
    let swap = match memory.swap {
        0 => String::new(),
        swap => format!(" ({} of swap are not counted)", bytes(swap)),
    };
    format!("{} free of {}{of}{swap}", bytes(free), bytes(total))
}

/// A verdict in words.
pub fn verdict(fit: Fit) -> String {
    match fit {
        Fit::Yes => "fits".into(),
        Fit::UpTo { tokens } => format!("fits with {tokens} tokens"),
        Fit::No { missing_bytes } => {
            format!("does not fit: {} missing", bytes(missing_bytes))
        }
        Fit::Unknown => "this machine's memory is not known".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(free: u64, context: usize) -> String {
        let memory = Memory {
            total: Some(128 << 30),
            available: Some(free << 30),
            ..Memory::default()
        };
        let mut out = Vec::new();
        Plan::of(memory, 40e9, KvType::Bf16, context)
            .print(&mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The line of a form.
    fn row<'a>(table: &'a str, form: &str) -> &'a str {
        let mut lines = table.lines().map(str::trim_start);
        lines.find(|line| line.starts_with(form)).unwrap()
    }

    #[test]
    fn each_form_has_its_row() {
        let table = table(100, 262_144);
        let small = row(&table, "Q4_K_M");
        assert!(
            small.contains(" fits ") && small.ends_with("runs it"),
            "{small}"
        );
        assert!(
            small.contains("67.2 GiB") && small.contains("<= 10.5"),
            "{small}"
        );
        assert!(row(&table, "NVFP4").ends_with("not yet"), "{table}");
        let large = row(&table, "BF16");
        assert!(
            large.contains("does not fit") && large.contains(" - "),
            "{large}"
        );
        assert!(table.contains("262144 tokens 5.6 GiB"), "{table}");
    }

    #[test]
    fn the_page_on_memory_shows_what_is_printed() {
        let page = include_str!("../../../../docs/memory.md");
        let memory = Memory {
            total: Some(128 << 30),
            available: Some(120 << 30),
            ..Memory::default()
        };
        let plan = Plan::of(memory, 90e9, KvType::Bf16, RECOMMENDED_CONTEXT);
        let mut out = Vec::new();
        plan.print(&mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        for form in &FORMS {
            let line = row(&table, form.name);
            assert!(page.contains(line), "docs/memory.md lacks: {line}");
        }
    }

    #[test]
    fn the_context_decides() {
        assert!(row(&table(72, 262_144), "Q4_K_M").contains("fits with"));
        assert!(!row(&table(72, 4096), "Q4_K_M").contains("fits with"));
        assert!(table(72, 5000).contains("5000 tokens 109.9 MiB"));
    }

    #[test]
    fn scripts_get_numbers() {
        let plan = Plan::of(Memory::default(), 40e9, KvType::F32, 4096);
        let json = serde_json::to_value(plan).unwrap();
        assert_eq!(json["forms"][0]["verdict"], "unknown");
        assert_eq!(json["kv_cache"]["bytes_per_token"], 46_080);
        let memory = Memory {
            available: Some(1 << 30),
            ..Memory::default()
        };
        let json = serde_json::to_value(Plan::of(memory, 40e9, KvType::Bf16, 4096)).unwrap();
        assert_eq!(json["forms"][0]["verdict"], "does_not_fit");
        assert!(json["forms"][0]["missing_bytes"].as_u64().unwrap() > 60 << 30);
        assert!(json["forms"][0]["decode_limit_tokens_per_second"].is_null());
    }
}
