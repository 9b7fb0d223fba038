//! A running server, and the plainest client: it writes a request and reads the answer.

use crate::tekken::Folder;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// No test waits longer for anything.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A server that ends when it is dropped.
pub struct Server {
    child: Child,
    pub address: String,
    log: Mutex<Receiver<String>>,
    _folder: Option<Folder>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Server {
    /// With the tiny model of bytes, and these flags.
    pub fn start(flags: &[&str]) -> Server {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = Folder::new(&format!("serve{number}"), true);
        let path = folder.path();
        Server::of(&path, flags, Some(folder))
    }

    /// With the model at `path`.
    pub fn of(path: &str, flags: &[&str], folder: Option<Folder>) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tramontane"))
            .args(["serve", "-m", path, "--port", "0", "--threads", "1"])
            .args(flags)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut server = Server {
            child,
            address: String::new(),
            log: Mutex::new(log),
            _folder: folder,
        };
        let line = server.wait_for_log("listening");
        let port = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        server.address = format!("127.0.0.1:{port}");
        server.wait_for(|server| server.get("/ready").status == 200);
        server
    }

    /// The next log line that holds `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        let start = Instant::now();
        let mut seen = Vec::new();
        let log = self.log.lock().unwrap();
        while let Ok(line) = log.recv_timeout(LIMIT.saturating_sub(start.elapsed())) {
            // Colours are for terminals; a pipe has none.
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no log line with {text:?}: {seen:#?}");
    }

    /// Waits until `holds`.
    pub fn wait_for(&self, holds: impl Fn(&Server) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < LIMIT, "it never came about");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Bytes of memory it holds.
    pub fn memory(&self) -> u64 {
        self.system_status("VmRSS:") * 1024
    }

    pub fn num_threads(&self) -> u64 {
        self.system_status("Threads:")
    }

    /// Its open files and sockets.
    pub fn num_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.unwrap().count()
    }

    /// What Linux says of the process.
    fn system_status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How often the thread of that name has waited for something to do.
    pub fn num_waits(&self, thread: &str) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let read =
            |task: &Path, file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
        let named = tasks
            .map(|task| task.unwrap().path())
            .find(|task| read(task, "comm").trim() == thread);
        let status = read(&named.unwrap(), "status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// The log since it was last read.
    pub fn read_log(&self) -> Vec<String> {
        self.log.lock().unwrap().try_iter().collect()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address)
            .unwrap_or_else(|error| panic!("{error}; it said {:#?}", self.read_log()));
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            b"",
        )
    }

    /// Posts JSON with further headers, each `Name: value\r\n`.
    pub fn post_with(&self, path: &str, body: &[u8], headers: &str) -> Answer {
        self.send(&head(path, body.len(), headers), body)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body.to_string().as_bytes(), "")
    }

    /// A chat completion that succeeds.
    pub fn chat(&self, body: &Value) -> Value {
        let answer = self.post("/v1/chat/completions", body);
        assert_eq!(answer.status, 200, "{body} -> {}", answer.text());
        answer.json()
    }

    /// Sends bytes and reads one answer.
    pub fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that answers before it has read everything may close while this is written.
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        Answer::read(&mut BufReader::new(stream)).unwrap()
    }

    /// The value of a metric, all labels together.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let lines = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

/// A request's head that asks for the connection to be closed.
pub fn head(path: &str, length: usize, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One server for all tests that leave it as it was.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<(Server, Child)> = OnceLock::new();
    let (server, _) = SERVER.get_or_init(|| {
        let server = Server::start(&["--alias", "another", "--max-queue", "4000"]);
        let watcher = end_with_us(&server);
        (server, watcher)
    });
    server
}

/// Statics are never dropped: a shell waits for the end of this process, which closes its stdin, and cleans up.
fn end_with_us(server: &Server) -> Child {
    let folder = server._folder.as_ref().unwrap().path();
    let id = server.child.id();
    Command::new("sh")
        .args(["-c", &format!("cat; kill -9 {id}; rm -rf '{folder}'")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Answer {
    /// Reads an answer; none if the connection ends before it begins.
    pub fn read(stream: &mut impl BufRead) -> Option<Answer> {
        let (status, headers) = read_head(stream)?;
        let value = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let mut body = Vec::new();
        if value("transfer-encoding") == Some("chunked") {
            body = read_stream(stream);
        } else {
            let length = value("content-length").map_or(0, |length| length.parse().unwrap());
            body.resize(length, 0);
            stream.read_exact(&mut body).unwrap();
        }
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Status and headers, names in lower case.
pub fn read_head(stream: &mut impl BufRead) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.first()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Some((status, headers.collect()))
}

/// The next chunk of a chunked body, the last one empty; none where the connection broke off.
pub fn read_chunk(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    stream.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk).ok()?;
    assert!(chunk.ends_with(b"\r\n"));
    chunk.truncate(size);
    Some(chunk)
}

/// A chunked body to its proper end.
pub fn read_stream(stream: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let chunk = read_chunk(stream);
        let so_far = || String::from_utf8_lossy(&body).into_owned();
        match chunk.unwrap_or_else(|| panic!("the body broke off after {}", so_far())) {
            chunk if chunk.is_empty() => return body,
            chunk => body.extend(chunk),
        }
    }
}
