//! Drives the server with the clients that people use: the packages of OpenAI and Mistral, frameworks, an agent, curl.
//!
//! Each row of `GROUPS` has its own environment under `target/clients/`, made from pinned requirements and kept. The
//! checks themselves are scripts in `crates/tramontane/tests/clients/`; this file only finds interpreters, starts the
//! server, runs the rows and counts.

use crate::python;
use crate::server::{self, Server, finish};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What interprets a group's checks.
enum Runner {
    /// pytest in a virtual environment of the group's name, with `requirements/NAME.txt`, on this folder.
    Pytest(&'static str),
    /// `node --test` in this folder, after `npm ci`.
    Node(&'static str),
    /// bash runs this script.
    Bash(&'static str),
}

/// A group, and the lane it runs in: lanes run side by side, the groups of one after each other. The first lane's groups
/// fill the queue of the strict server, so they must not meet.
const GROUPS: &[(&str, usize, Runner)] = &[
    ("curl", 0, Runner::Bash("curl.sh")),
    ("openai-python", 0, Runner::Pytest("openai-python")),
    ("openai-node", 0, Runner::Node("openai-node")),
    ("mistral-1", 0, Runner::Pytest("mistral")),
    ("mistral-3", 0, Runner::Pytest("mistral")),
    ("frameworks", 1, Runner::Pytest("frameworks")),
    ("vibe", 1, Runner::Pytest("vibe")),
    ("schemathesis", 1, Runner::Pytest("schemathesis")),
];
/// What `--ci` runs: not the agent and not the thousands of generated requests, which take longer than all others.
const CI: [&str; 6] = [
    "curl",
    "openai-python",
    "openai-node",
    "mistral-1",
    "mistral-3",
    "frameworks",
];
/// mistral-vibe needs 3.12.
pub const PYTHON_MINOR: u32 = 12;
const NUM_LANES: usize = 2;
const SCRIPTS: &str = "crates/tramontane/tests/clients";
/// The page whose examples are run.
const PAGE: &str = "docs/clients.md";
const UV: &str = "uv==0.13.9";
const STRICT_KEY: &str = "a-key-for-the-checks";
/// What the checks call the model; a checkpoint of another architecture has to be told that it goes by these names.
const ALIASES: [&str; 5] = [
    "--alias",
    "mistral-small-latest",
    "mistral-small-4",
    "mistral-small-2603",
    "mistralai/Mistral-Small-4-119B-2603",
];

/// The command line after `clients`.
struct Options {
    /// None: the built-in model.
    model: Option<String>,
    /// Whether to check what the model knows and can do, beside the protocol.
    skills: bool,
    groups: Vec<String>,
}

/// Runs the named groups, or all.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let started = Instant::now();
    let home = root.join("target").join("clients");
    fs::create_dir_all(&home)?;
    let python = python::find(PYTHON_MINOR)?;
    let binary = server::binary(root, "test")?;
    let model = match options.model.as_deref() {
        Some("scripted") => Some(scripted(root, &home, &python)?),
        other => other.map(str::to_owned),
    };
    let named = options
        .model
        .as_deref()
        .is_some_and(|model| model != "scripted");
    let aliases: &[&str] = if named { &ALIASES } else { &[] };
    let server = Server::start(&binary, model.as_deref(), &home, "server", aliases)?;
    let strict_args = [
        "--api-key",
        STRICT_KEY,
        "--max-batch",
        "1",
        "--max-queue",
        "1",
    ];
    let strict_args = [&strict_args[..], aliases].concat();
    let strict = Server::start(&binary, model.as_deref(), &home, "strict", &strict_args)?;
    let environment = Environment {
        scripts: root.join(SCRIPTS),
        python,
        variables: vec![
            ("TRAMONTANE_URL", server.url()),
            ("TRAMONTANE_STRICT_URL", strict.url()),
            ("TRAMONTANE_STRICT_KEY", STRICT_KEY.to_owned()),
            ("TRAMONTANE_SKILLS", u8::from(options.skills).to_string()),
            (
                "TRAMONTANE_CLIENTS_PAGE",
                root.join(PAGE).display().to_string(),
            ),
        ],
        home,
    };
    environment.uv()?;
    let wanted =
        |name: &str| options.groups.is_empty() || options.groups.iter().any(|group| group == name);
    let lane = |number: usize| -> Vec<(&str, Result<u64>)> {
        let groups = GROUPS
            .iter()
            .filter(|(name, lane, _)| *lane == number && wanted(name));
        groups
            .map(|(name, _, runner)| (*name, environment.run(name, runner)))
            .collect()
    };
    let results: Vec<(&str, Result<u64>)> = std::thread::scope(|scope| {
        let lane = &lane;
        let lanes: Vec<_> = (0..NUM_LANES)
            .map(|number| scope.spawn(move || lane(number)))
            .collect();
        lanes
            .into_iter()
            .flat_map(|lane| lane.join().unwrap_or_default())
            .collect()
    });
    tell(&results, started.elapsed(), &environment.home)
}

/// The last lines, and whether all is well.
fn tell(results: &[(&str, Result<u64>)], took: Duration, home: &Path) -> Result<()> {
    let mut failed = Vec::new();
    let mut not_run = 0;
    for (name, result) in results {
        match result {
            Ok(count) => not_run += count,
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    println!(
        "== clients: {:.0} s; {} of {} groups passed; {not_run} checks of skills not run (--skills runs them)",
        took.as_secs_f32(),
        results.len() - failed.len(),
        results.len(),
    );
    if !failed.is_empty() {
        bail!(
            "{}\nthe servers' logs are in {}",
            failed.join("\n"),
            home.display()
        );
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        model: None,
        skills: false,
        groups: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--model" | "-m" => {
                options.model = Some(args.next().context("--model needs a path")?.clone());
            }
            "--ci" => options.groups.extend(CI.map(str::to_owned)),
            "--skills" => options.skills = true,
            name if GROUPS.iter().any(|(group, ..)| *group == name) => {
                options.groups.push(name.to_owned());
            }
            other => {
                let names: Vec<&str> = GROUPS.iter().map(|(name, ..)| *name).collect();
                bail!("no group is called {other}; there are {}", names.join(", "));
            }
        }
    }
    Ok(options)
}

/// The hand-made checkpoint, for checks of the protocol alone.
pub fn scripted(root: &Path, home: &Path, python: &Path) -> Result<String> {
    let folder = home.join("scripted");
    let script = root.join(SCRIPTS).join("scripted_model.py");
    finish(Command::new(python).arg(script).arg(&folder))?;
    Ok(folder.display().to_string())
}

/// Where the groups run and what they are told.
struct Environment {
    scripts: PathBuf,
    home: PathBuf,
    python: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Environment {
    /// Runs one group and shows what it said; how many of its checks were not run.
    fn run(&self, name: &str, runner: &Runner) -> Result<u64> {
        let report = self.home.join(format!("{name}.json"));
        let _ = fs::remove_file(&report);
        let mut command = match runner {
            Runner::Pytest(folder) => {
                let mut command = Command::new(self.virtual_environment(name)?);
                command
                    .args(["-m", "pytest", folder])
                    .current_dir(&self.scripts);
                command
            }
            Runner::Node(folder) => {
                let place = self.node_modules(folder)?;
                let mut command = Command::new("node");
                command.arg("--test").current_dir(place);
                command
            }
            Runner::Bash(script) => {
                let mut command = Command::new("bash");
                command.arg(script).current_dir(&self.scripts);
                command
            }
        };
        command
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .env("TRAMONTANE_PYTHON", &self.python)
            .env("TRAMONTANE_REPORT", &report)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .stdin(Stdio::null());
        let started = Instant::now();
        let output = command
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
        println!(
            "== {name}: {} in {:.0} s\n{}{}",
            if output.status.success() {
                "passed"
            } else {
                "FAILED"
            },
            started.elapsed().as_secs_f32(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if !output.status.success() {
            bail!("{}", output.status);
        }
        let Ok(text) = fs::read_to_string(&report) else {
            return Ok(0);
        };
        let count = text.split("\"not_run\":").nth(1).map(|rest| {
            rest.trim_start()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        });
        Ok(count.and_then(|digits| digits.parse().ok()).unwrap_or(0))
    }

    /// The interpreter of a group's virtual environment.
    fn virtual_environment(&self, name: &str) -> Result<PathBuf> {
        let place = self.home.join(name);
        let requirements = self
            .scripts
            .join("requirements")
            .join(format!("{name}.txt"));
        python::environment(&place, &requirements, |interpreter| {
            let uv = self.uv()?;
            finish(
                Command::new(&uv)
                    .args(["venv", "--quiet", "--clear", "--python"])
                    .args([&self.python, &place]),
            )?;
            finish(
                Command::new(&uv)
                    .args(["pip", "install", "--quiet", "--python"])
                    .args([interpreter, Path::new("-r"), &requirements]),
            )
        })
    }

    /// uv installs ten times faster than pip; it comes from PyPI into an environment of its own.
    fn uv(&self) -> Result<PathBuf> {
        let place = self.home.join("uv");
        let uv = place.join("bin").join("uv");
        if !uv.exists() {
            finish(Command::new(&self.python).args(["-m", "venv"]).arg(&place))?;
            let pip = place.join("bin").join("python");
            finish(Command::new(pip).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                UV,
            ]))?;
        }
        Ok(uv)
    }

    /// A copy of a Node group with its packages, which stay out of the repository's tree.
    fn node_modules(&self, folder: &str) -> Result<PathBuf> {
        let place = self.home.join(folder);
        fs::create_dir_all(&place)?;
        let mut same = place.join("node_modules").exists();
        for entry in fs::read_dir(self.scripts.join(folder))? {
            let entry = entry?;
            let copy = place.join(entry.file_name());
            if entry.file_name() == "package-lock.json" {
                same &= fs::read(&copy).ok() == fs::read(entry.path()).ok();
            }
            fs::copy(entry.path(), copy)?;
        }
        if !same {
            let arguments = [
                "ci",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ];
            finish(Command::new("npm").args(arguments).current_dir(&place))
                .context("the group openai-node needs Node 20 or newer with npm")?;
        }
        Ok(place)
    }
}
