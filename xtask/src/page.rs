//! Drives the chat page in a headless Chromium: `crates/tramontane/tests/page/`, in an environment of its own under
//! `target/page/`. The checks are Python; this file finds interpreter and browser, builds, and runs them.

use crate::python;
use crate::server::{binary, finish};
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TESTS: &str = "crates/tramontane/tests/page";
const PICTURES: &str = "docs/images";
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// The packages need 3.10.
const PYTHON_MINOR: u32 = 10;

/// The command line after `page`.
#[derive(Default)]
struct Options {
    /// Take the pictures for the documentation instead of running the checks.
    screenshots: bool,
    /// None: a scripted one that knows nothing.
    model: Option<String>,
    /// What goes to pytest.
    rest: Vec<String>,
}

/// Runs the checks, or takes the pictures.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let chromium = find_browser()?;
    let python = python::find(PYTHON_MINOR)?;
    let home = root.join("target").join("page");
    fs::create_dir_all(&home)?;
    let interpreter = environment(root, &home, &python)?;
    let mut command = Command::new(interpreter);
    command
        .current_dir(root.join(TESTS))
        .env("CHROMIUM", chromium)
        .env("TRAMONTANE", fs::canonicalize(binary(root, "test")?)?)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(model) = options.model {
        // The checks run in a folder of their own; a hub's name is no path.
        let path = fs::canonicalize(&model).unwrap_or(model.into());
        command.env("TRAMONTANE_MODEL", path);
    }
    match options.screenshots {
        true => command.arg("screenshots.py").arg(root.join(PICTURES)),
        false => command.args(["-m", "pytest"]).args(options.rest),
    };
    finish(&mut command)
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--screenshots" => options.screenshots = true,
            "--model" => {
                options.model = Some(args.next().context("--model needs a path")?.clone());
            }
            other => options.rest.push(other.to_owned()),
        }
    }
    if options.screenshots && !options.rest.is_empty() {
        bail!("--screenshots takes no {}", options.rest.join(" "));
    }
    Ok(options)
}

/// The browser that CHROMIUM names, or the first that is installed.
fn find_browser() -> Result<PathBuf> {
    let candidates = match env::var_os("CHROMIUM") {
        Some(given) => vec![PathBuf::from(given)],
        None => BROWSERS.iter().map(PathBuf::from).collect(),
    };
    let starts = |browser: &PathBuf| {
        let mut command = Command::new(browser);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    candidates.into_iter().find(starts).context(
        "no Chromium was found: the page's checks drive one. Install it (Debian: apt-get install chromium fonts-dejavu \
         fonts-noto-color-emoji), or set CHROMIUM to its path",
    )
}

/// The interpreter of the checks' environment.
fn environment(root: &Path, home: &Path, python: &Path) -> Result<PathBuf> {
    let place = home.join("environment");
    let requirements = root.join(TESTS).join("requirements.txt");
    python::environment(&place, &requirements, |interpreter| {
        finish(
            Command::new(python)
                .args(["-m", "venv", "--clear"])
                .arg(&place),
        )?;
        finish(
            Command::new(interpreter)
                .args(["-m", "pip", "install", "--quiet"])
                .args(["--disable-pip-version-check", "-r"])
                .arg(&requirements),
        )
    })
}
