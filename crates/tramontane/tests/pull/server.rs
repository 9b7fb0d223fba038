//! A hub on the loopback: the parts of its API that a pull uses, a second address that plays the content network, a note
//! of every request, and faults on order.

use crate::digests::{git_blob, sha256};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A file of a repository.
#[derive(Clone)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// Large files are served by the content network, under their SHA-256.
    pub is_large: bool,
}

/// A repository.
#[derive(Clone, Default)]
pub struct Repo {
    pub commit: String,
    pub files: BTreeMap<String, Content>,
    /// Who may read it; everyone without.
    pub token: Option<String>,
    /// Whether its listing tells sizes and checksums, as the hub's does and some mirrors' do not.
    pub hides_sizes: bool,
}

/// What goes wrong with one answer.
#[derive(Clone)]
pub enum Fault {
    /// None: this one is answered well.
    Fine,
    /// Another status, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is cut after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body.
    Stall(usize),
    /// A byte a tenth of a second.
    Drip,
    /// So much is added to the length that is announced, and sent.
    Length(i64),
    /// A byte of the body is wrong.
    Flip,
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    /// A range, but not the one asked for.
    WrongRange,
    /// Somewhere else.
    Redirect(String),
    /// A page for people.
    Page,
    /// Another header.
    Header(&'static str, String),
    /// Another body, whole.
    Body(Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub is_elsewhere: bool,
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    repos: HashMap<String, Repo>,
    /// By a part of the path, with the method before it; used up one by one.
    faults: Vec<(String, Vec<Fault>)>,
    log: Vec<Asked>,
}

/// The server.
pub struct Hub {
    pub address: String,
    state: Arc<Mutex<State>>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Repo {
    pub fn new(commit: char) -> Repo {
        Repo {
            commit: commit.to_string().repeat(40),
            ..Repo::default()
        }
    }

    pub fn small(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Repo {
        self.files.insert(
            path.into(),
            Content {
                bytes: bytes.into(),
                is_large: false,
            },
        );
        self
    }

    pub fn large(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Repo {
        self.files.insert(
            path.into(),
            Content {
                bytes: bytes.into(),
                is_large: true,
            },
        );
        self
    }
}

impl Content {
    /// The name of its blob.
    pub fn etag(&self) -> String {
        if self.is_large {
            sha256(&self.bytes)
        } else {
            git_blob(&self.bytes)
        }
    }
}

impl Hub {
    pub fn start() -> Hub {
        let state: Arc<Mutex<State>> = Arc::default();
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, elsewhere) = (listen(), listen());
        let address = |l: &TcpListener| format!("http://{}", l.local_addr().unwrap());
        let (hub_address, elsewhere_address) = (address(&hub), address(&elsewhere));
        for (listener, is_elsewhere) in [(hub, false), (elsewhere, true)] {
            let (state, elsewhere) = (state.clone(), elsewhere_address.clone());
            // The threads live as long as the test program.
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, elsewhere) = (state.clone(), elsewhere.clone());
                    thread::spawn(move || serve(&stream, is_elsewhere, &elsewhere, &state));
                }
            });
        }
        Hub {
            address: hub_address,
            state,
        }
    }

    pub fn put(&self, name: &str, repo: Repo) {
        self.state.lock().unwrap().repos.insert(name.into(), repo);
    }

    /// The next requests whose `METHOD /path` contains `part` go wrong, each as the next fault says.
    pub fn fail(&self, part: &str, faults: impl Into<Vec<Fault>>) {
        self.state
            .lock()
            .unwrap()
            .faults
            .push((part.into(), faults.into()));
    }

    /// All requests whose `METHOD /path` contains `part`.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        let log = &self.state.lock().unwrap().log;
        log.iter()
            .filter(|a| format!("{} {}", a.method, a.path).contains(part))
            .cloned()
            .collect()
    }
}

fn serve(stream: &TcpStream, is_elsewhere: bool, elsewhere: &str, state: &Mutex<State>) {
    let Some(asked) = read(stream, is_elsewhere) else {
        return;
    };
    let (answer, fault) = {
        let mut state = state.lock().unwrap();
        state.log.push(asked.clone());
        let line = format!("{} {}", asked.method, asked.path);
        let order = state
            .faults
            .iter_mut()
            .find(|(part, faults)| line.contains(part) && !faults.is_empty());
        let fault = order.map_or(Fault::Fine, |(_, faults)| faults.remove(0));
        (answer(&asked, elsewhere, &state.repos, &fault), fault)
    };
    // The client may be gone already: that is its right.
    let _ = write(stream, &asked, answer, &fault);
}

fn read(stream: &TcpStream, is_elsewhere: bool) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Asked {
        method,
        path,
        is_elsewhere,
        headers,
    })
}

fn plain(status: u16, headers: &[(&str, String)]) -> Answer {
    Answer {
        status,
        headers: headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect(),
        body: format!("status {status}").into_bytes(),
    }
}

fn answer(asked: &Asked, elsewhere: &str, repos: &HashMap<String, Repo>, fault: &Fault) -> Answer {
    match fault {
        Fault::Status(status, headers) => return plain(*status, headers),
        Fault::Redirect(to) => return plain(302, &[("location", to.clone())]),
        Fault::Page => {
            let mut page = plain(200, &[("content-type", "text/html; charset=utf-8".into())]);
            page.body = b"<!DOCTYPE html><title>Log in</title>".to_vec();
            return page;
        }
        _ => {}
    }
    let path = asked.path.split('?').next().unwrap();
    if asked.is_elsewhere {
        let content = repos
            .values()
            .flat_map(|r| r.files.values())
            .find(|c| path == format!("/cdn/{}", c.etag()));
        return match content {
            // A content network has names of its own for versions.
            Some(content) => file(
                asked,
                content,
                fault,
                vec![("etag".into(), format!("\"cdn-{}\"", &content.etag()[..8]))],
            ),
            None => plain(404, &[]),
        };
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (name, repo) = match parts[..] {
        ["api", "models", owner, repo, ..] | [owner, repo, ..] => (
            format!("{owner}/{repo}"),
            repos.get(&format!("{owner}/{repo}")),
        ),
        _ => return plain(404, &[]),
    };
    let Some(repo) = repo else {
        return plain(
            404,
            &[
                ("x-error-code", "RepoNotFound".into()),
                ("x-error-message", "Repository not found".into()),
            ],
        );
    };
    if let Some(token) = &repo.token {
        match asked.headers.get("authorization") {
            None => return plain(401, &[("x-error-code", "GatedRepo".into())]),
            Some(given) if *given != format!("Bearer {token}") => {
                return plain(
                    403,
                    &[
                        ("x-error-code", "GatedRepo".into()),
                        ("x-error-message", "not on the list".into()),
                    ],
                );
            }
            Some(_) => {}
        }
    }
    match parts[..] {
        ["api", "models", _, _, "revision", revision]
            if revision == "main" || revision == "v1.0" || revision == repo.commit =>
        {
            listing(&name, repo)
        }
        ["api", "models", _, _, "revision", _] => {
            plain(404, &[("x-error-code", "RevisionNotFound".into())])
        }
        [_, _, "resolve", commit, ..] if commit == repo.commit => {
            match repo.files.get(&unescape(&parts[4..].join("/"))) {
                Some(content) => resolve(asked, repo, content, elsewhere, fault),
                None => plain(404, &[("x-error-code", "EntryNotFound".into())]),
            }
        }
        _ => plain(404, &[("x-error-code", "EntryNotFound".into())]),
    }
}

fn listing(name: &str, repo: &Repo) -> Answer {
    let sibling = |(path, content): (&String, &Content)| {
        let mut sibling = serde_json::json!({"rfilename": path});
        if !repo.hides_sizes {
            let size = content.bytes.len();
            sibling["size"] = size.into();
            sibling["blobId"] = git_blob(&content.bytes).into();
            if content.is_large {
                sibling["lfs"] = serde_json::json!({"sha256": sha256(&content.bytes), "size": size, "pointerSize": 134});
            }
        }
        sibling
    };
    let siblings: Vec<_> = repo.files.iter().map(sibling).collect();
    let body =
        serde_json::json!({"id": name, "sha": repo.commit, "gated": false, "siblings": siblings});
    Answer {
        status: 200,
        headers: vec![(
            "content-type".into(),
            "application/json; charset=utf-8".into(),
        )],
        body: body.to_string().into_bytes(),
    }
}

fn resolve(
    asked: &Asked,
    repo: &Repo,
    content: &Content,
    elsewhere: &str,
    fault: &Fault,
) -> Answer {
    let mut headers = vec![("x-repo-commit".to_owned(), repo.commit.clone())];
    if !content.is_large {
        headers.push(("etag".into(), format!("\"{}\"", content.etag())));
        return file(asked, content, fault, headers);
    }
    headers.push(("x-linked-etag".into(), format!("\"{}\"", content.etag())));
    headers.push(("x-linked-size".into(), content.bytes.len().to_string()));
    headers.push(("etag".into(), "\"of-the-redirect\"".into()));
    headers.push((
        "location".into(),
        format!("{elsewhere}/cdn/{}?signature=secret", content.etag()),
    ));
    change_header(&mut headers, fault);
    Answer {
        status: 302,
        headers,
        body: b"Found".to_vec(),
    }
}

fn change_header(headers: &mut Vec<(String, String)>, fault: &Fault) {
    if let Fault::Header(name, value) = fault {
        headers.retain(|(other, _)| other != name);
        headers.push(((*name).to_owned(), value.clone()));
    }
}

/// A file or the range of it that was asked for.
fn file(
    asked: &Asked,
    content: &Content,
    fault: &Fault,
    mut headers: Vec<(String, String)>,
) -> Answer {
    let mut body = content.bytes.clone();
    match fault {
        Fault::Flip => body[0] ^= 1,
        Fault::Body(other) => body.clone_from(other),
        _ => {}
    }
    change_header(&mut headers, fault);
    let etag = headers
        .iter()
        .find(|(name, _)| name == "etag")
        .map(|(_, value)| value.clone());
    let is_current = asked
        .headers
        .get("if-range")
        .is_none_or(|tag| Some(tag) == etag.as_ref());
    let range = asked
        .headers
        .get("range")
        .filter(|_| is_current && !matches!(fault, Fault::IgnoreRange));
    let Some((start, end)) = range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-')) else {
        return Answer {
            status: 200,
            headers,
            body,
        };
    };
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    if start >= body.len() {
        return plain(416, &[("content-range", format!("bytes */{}", body.len()))]);
    }
    let end = end.min(body.len() - 1);
    let said = if matches!(fault, Fault::WrongRange) {
        start + 1
    } else {
        start
    };
    headers.push((
        "content-range".into(),
        format!("bytes {said}-{end}/{}", body.len()),
    ));
    Answer {
        status: 206,
        headers,
        body: body[start..=end].to_vec(),
    }
}

fn write(
    mut stream: &TcpStream,
    asked: &Asked,
    mut answer: Answer,
    fault: &Fault,
) -> std::io::Result<()> {
    if let Fault::Length(more) = fault {
        let length = answer
            .body
            .len()
            .saturating_add_signed(isize::try_from(*more).unwrap());
        answer.body.resize(length, b'x');
    }
    let mut head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Fault::Cut(after) => stream.write_all(&answer.body[..*after]),
        Fault::Stall(after) => {
            stream.write_all(&answer.body[..*after])?;
            // Until the client hangs up.
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.read(&mut [0]).map(drop)
        }
        Fault::Drip => {
            for byte in answer.body {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        _ => stream.write_all(&answer.body),
    }
}

fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [a, b, after @ ..]) => {
                let hex = [*a, *b];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}
