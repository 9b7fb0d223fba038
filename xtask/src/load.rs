//! A crowd of clients on one server, for as long as one likes: the test of the same name, told by its environment.

use crate::clients;
use crate::python;
use crate::server::{cargo, finish};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// What may be set, the variable that tells the test, and what holds otherwise; an empty model is the test's own.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("--seconds", "TRAMONTANE_LOAD_SECONDS", "120"),
    ("--clients", "TRAMONTANE_LOAD_CLIENTS", "200"),
    ("--model", "TRAMONTANE_LOAD_MODEL", ""),
];
const TEST: &str = "load::two_hundred_clients_are_served";

/// Runs it.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let mut values = SETTINGS.map(|(.., default)| default.to_owned());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let name = if arg == "-m" { "--model" } else { arg };
        let known = SETTINGS.iter().position(|(setting, ..)| *setting == name);
        let names = SETTINGS.map(|(setting, ..)| setting).join(", ");
        let index = known.with_context(|| format!("{arg} is none of {names}"))?;
        let value = args
            .next()
            .with_context(|| format!("{arg} needs a value"))?;
        values[index] = value.clone();
    }
    let model = &mut values[2];
    if model == "scripted" {
        let home = root.join("target").join("clients");
        fs::create_dir_all(&home)?;
        *model = clients::scripted(root, &home, &python::find(clients::PYTHON_MINOR)?)?;
    }
    let mut command = cargo();
    command
        .args(["test", "-p", "tramontane", "--test", "server", TEST])
        .args(["--", "--exact", "--nocapture"])
        .current_dir(root);
    for ((_, variable, _), value) in SETTINGS.iter().zip(&values) {
        if !value.is_empty() {
            command.env(variable, value);
        }
    }
    finish(&mut command)
}
