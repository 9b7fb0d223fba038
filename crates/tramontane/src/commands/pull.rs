//! `pull`: a model from a hub into the cache. How progress looks; what happens is in [`crate::hub`].

use crate::hub::{Cache, Client, Event, Name, Pull, Report, Revision, Settings, printable};
use crate::load::bytes;
use anyhow::{Result, bail};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shown below `--help`.
pub const HELP: &str = "Examples:
  tramontane pull mistralai/Mistral-Small-4-119B-2603      (config, tokenizer and safetensors)
  tramontane pull owner/repo-GGUF:Q4_K_M                   (all parts of that GGUF, and its vision tower)
  tramontane pull owner/repo:native --revision v1.0        (params.json and consolidated*.safetensors)
  tramontane run -m owner/repo-GGUF:Q4_K_M 'Hello'         (what was pulled runs by its name, without network)

The path of the model goes to stdout. A pull that was cut goes on where it was when run again.
HF_ENDPOINT names a mirror; HF_TOKEN or `hf auth login` say who you are; HF_HOME and HF_HUB_CACHE say where the cache
is, which the hub's Python library shares; HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are heeded;
HF_HUB_DOWNLOAD_TIMEOUT is how many seconds a server may say nothing (10).";

/// Seconds between two lines about the same file, where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// Seconds between two events about the same file.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// `pull`.
#[derive(Args, Debug, Clone)]
pub struct PullArgs {
    /// owner/repo, owner/repo:VARIANT or owner/repo@REVISION:VARIANT; VARIANT is a quantisation like Q4_K_M, or
    /// safetensors, or native
    pub name: String,
    /// A branch, tag or commit [default: main]
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Files at a time
    #[arg(long, value_name = "N", default_value = "4")]
    pub jobs: NonZero<usize>,
    /// Failures in a row, without progress in between, before giving up
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retries: u32,
    /// Say nothing but the result and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// One JSON object a line on stdout for everything that happens
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
}

/// Pulls a model.
pub fn run(args: &PullArgs) -> Result<()> {
    let mut name = Name::parse(&args.name)?;
    match (&args.revision, &name.revision) {
        (Some(_), Some(_)) => {
            bail!("a revision is named twice\nGive it after `@` or with --revision")
        }
        (Some(revision), None) => name.revision = Some(Revision::parse(revision)?),
        (None, _) => {}
    }
    let cache = Cache::from_env()?;
    let client = Client::new(&Settings::from_env()?, args.retries)?;
    stop_on_ctrl_c(&client)?;
    let report: Box<dyn Report> = match (args.quiet, args.json) {
        (true, _) => Box::new(Silent),
        (_, true) => Box::new(Lines::default()),
        _ if stderr().is_terminal() => Box::new(Bars::default()),
        _ => Box::new(Plain::default()),
    };
    let pull = Pull {
        client: &client,
        cache: &cache,
        name: &name,
        jobs: args.jobs,
        report: report.as_ref(),
    };
    let located = pull.run()?;
    if !args.json {
        writeln!(stdout(), "{}", located.path.display())?;
    }
    Ok(())
}

/// The first Ctrl-C ends the pull in order, the second ends the program; nothing is lost either way.
fn stop_on_ctrl_c(client: &Client) -> Result<()> {
    let (stop, presses) = (client.stop(), AtomicU32::new(0));
    ctrlc::set_handler(move || {
        if presses.fetch_add(1, Ordering::SeqCst) > 0 {
            // 128 + SIGINT, as shells expect of a program that was interrupted.
            std::process::exit(130);
        }
        stop.now();
    })?;
    Ok(())
}

struct Silent;

impl Report for Silent {
    fn tell(&self, _event: &Event) {}
}

/// When something was last said about a file.
#[derive(Default)]
struct Pace {
    last: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    fn is_due(&self, file: &str, interval: Duration) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match last.get(file) {
            Some(then) if now.duration_since(*then) < interval => false,
            _ => {
                last.insert(file.to_owned(), now);
                true
            }
        }
    }
}

/// A JSON object a line, on stdout.
#[derive(Default)]
struct Lines {
    pace: Pace,
}

impl Report for Lines {
    fn tell(&self, event: &Event) {
        if let Event::Progress { file, bytes, size } = event
            && bytes != size
            && !self.pace.is_due(file, JSON_INTERVAL)
        {
            return;
        }
        if let Ok(mut line) = serde_json::to_string(event) {
            line.push('\n');
            // Whoever stopped reading is not worth failing for.
            let _ = stdout().write_all(line.as_bytes());
        }
    }
}

/// A line on stderr now and then.
#[derive(Default)]
struct Plain {
    pace: Pace,
}

impl Report for Plain {
    fn tell(&self, event: &Event) {
        match event {
            Event::Progress {
                file,
                bytes: here,
                size,
            } if here < size => {
                if *here > 0 && self.pace.is_due(file, PLAIN_INTERVAL) {
                    say(&format!(
                        "{}: {} of {}",
                        printable(file),
                        bytes(*here),
                        bytes(*size)
                    ));
                }
            }
            Event::Finished { file, size } => {
                say(&format!("{}: done, {}", printable(file), bytes(*size)))
            }
            _ => {
                if let Some(text) = sentence(event) {
                    say(&text);
                }
            }
        }
    }
}

/// A bar a file that is being fetched, and one for all of them.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    state: Mutex<BarsState>,
}

#[derive(Default)]
struct BarsState {
    total: Option<ProgressBar>,
    files: HashMap<String, (ProgressBar, u64)>,
}

impl Bars {
    fn bar(&self, size: u64, label: String, template: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(size));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(label);
        bar
    }
}

impl Report for Bars {
    fn tell(&self, event: &Event) {
        const FILE: &str = "{msg:30!} {wide_bar} {bytes:>11} of {total_bytes:>11}";
        const TOTAL: &str =
            "{msg:30!} {wide_bar} {bytes:>11} of {total_bytes:>11} {bytes_per_sec} {eta}";
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Plan { missing_bytes, .. } => {
                if let Some(text) = sentence(event) {
                    let _ = self.all.println(text);
                }
                if *missing_bytes > 0 {
                    state.total = Some(self.bar(*missing_bytes, "all of it".to_owned(), TOTAL));
                }
            }
            Event::Progress { file, bytes, size } => {
                let total = state.total.clone();
                let (bar, here) = state
                    .files
                    .entry((*file).to_owned())
                    .or_insert_with(|| (self.bar(*size, short(file), FILE), *bytes));
                bar.set_position(*bytes);
                if let Some(total) = total {
                    total.inc(bytes.saturating_sub(*here));
                    // A file that is fetched anew is no progress, nor is it the opposite.
                    *here = (*here).max(*bytes);
                }
            }
            Event::Finished { file, .. } => {
                if let Some((bar, _)) = state.files.remove(*file) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            Event::Done { .. } => {
                if let Some(bar) = state.total.take() {
                    bar.finish_and_clear();
                }
                if let Some(text) = sentence(event) {
                    say(&text);
                }
            }
            _ => {
                if let Some(text) = sentence(event) {
                    let _ = self.all.println(text);
                }
            }
        }
    }
}

/// An event in words; none for progress.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::Plan {
            repo,
            revision,
            commit,
            variant,
            files,
            bytes: all,
            missing_bytes,
        } => format!(
            "{repo}:{} at {revision} ({}): {files} files, {}, {} of it to fetch",
            printable(variant),
            &commit[..commit.len().min(12)],
            bytes(*all),
            bytes(*missing_bytes)
        ),
        Event::Note { text } => format!("note: {text}"),
        Event::Waiting { file } => {
            format!(
                "{}: another process is fetching it; waiting for it to end",
                printable(file)
            )
        }
        Event::Checking { file, bytes: here } => {
            format!(
                "{}: checking the {} that came in an earlier run",
                printable(file),
                bytes(*here)
            )
        }
        Event::Retry {
            what,
            why,
            wait_ms,
            attempt,
            of,
        } => format!(
            "cannot {what}: {why}; attempt {attempt} of {of} follows in {:.1} s",
            *wait_ms as f64 / 1000.0
        ),
        Event::Done {
            model,
            mmproj,
            fetched_bytes,
            ..
        } => format!(
            "{} came over the network. Run it with: tramontane run -m {model}{}",
            bytes(*fetched_bytes),
            mmproj.map_or(String::new(), |_| " (its vision tower is beside it)"
                .to_owned())
        ),
        Event::Progress { .. } | Event::Finished { .. } => return None,
    })
}

/// The end of a path, as long as a bar's label may be.
fn short(file: &str) -> String {
    let file = printable(file);
    let skip = file.chars().count().saturating_sub(30);
    file.chars().skip(skip).collect()
}

/// A line on stderr. Whoever closed it is not worth failing for.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
