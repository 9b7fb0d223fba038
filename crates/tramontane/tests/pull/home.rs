//! A home of its own for a test: a cache, and the binary run in it.

use crate::server::Hub;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is `HF_HOME`; gone when the test is over.
pub struct Home {
    pub path: PathBuf,
    endpoint: String,
    vars: Vec<(String, String)>,
}

/// What a run said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new(hub: &Hub) -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tramontane-pull-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Home {
            path,
            endpoint: hub.address.clone(),
            vars: Vec::new(),
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.push((name.into(), value.into()));
    }

    /// The folder of `owner/repo` in the cache.
    pub fn repo(&self, name: &str) -> PathBuf {
        self.path
            .join("hub")
            .join(format!("models--{}", name.replace('/', "--")))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tramontane"));
        command
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .env("HF_HOME", &self.path)
            .env("HF_ENDPOINT", &self.endpoint)
            .env("HF_HUB_DOWNLOAD_TIMEOUT", "1");
        command.envs(self.vars.iter().map(|(k, v)| (k, v)));
        command
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// A run that must work; its stdout without the last newline.
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.out.trim_end().to_owned()
    }

    /// A run that must fail; its stderr.
    pub fn fails(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 1, "{args:?}: {} {}", said.out, said.err);
        let is_advised = said.err.trim_end().lines().count() >= 2;
        assert!(
            is_advised,
            "an error says what, then what to do: {}",
            said.err
        );
        said.err
    }

    /// Files of the cache that are neither notes nor locks: `path: content or link`.
    pub fn leftovers(&self, name: &str) -> Vec<String> {
        let blobs = self.repo(name).join("blobs");
        let Ok(entries) = std::fs::read_dir(blobs) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Bytes that differ everywhere, so that a shifted part is noticed.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// A small real checkpoint.
pub fn fixture(name: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models");
    std::fs::read(models.join(name)).unwrap()
}
