//! The program under chores that talk to it: builds it, starts it as a server, waits until it is ready, ends it.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(120);

/// The binary, built with a profile (`test`: as `cargo test` builds it, so that CI has it already), or what
/// TRAMONTANE_BIN names.
pub fn binary(root: &Path, profile: &str) -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("TRAMONTANE_BIN") {
        return Ok(binary.into());
    }
    finish(
        cargo()
            .args(["build", "--profile", profile, "-p", "tramontane"])
            .current_dir(root),
    )?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let folder = if profile == "release" {
        "release"
    } else {
        "debug"
    };
    Ok(target.join(folder).join("tramontane"))
}

/// The cargo that runs this.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Runs a command to its end and fails if it does.
pub fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("{command:?} failed ({status}); see its message above");
    }
    Ok(())
}

/// A running server, ended with the value.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts the binary on a free port and waits until it is ready; its log is `NAME.log` in `home`.
    pub fn start(
        binary: &Path,
        model: Option<&str>,
        home: &Path,
        name: &str,
        args: &[&str],
    ) -> Result<Server> {
        fs::create_dir_all(home)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = home.join(format!("{name}.log"));
        let log = fs::File::create(&path)?;
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .args(["--port", &port.to_string()])
            .args(args);
        if let Some(model) = model {
            command.args(["--model", model]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Server { child, port };
        let deadline = Instant::now() + START_LIMIT;
        while !server.is_ready() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&path).unwrap_or_default();
                bail!("the server did not become ready ({ended:?}); it said:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(
                b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            )?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply)?;
            Ok(reply)
        };
        ask().is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
