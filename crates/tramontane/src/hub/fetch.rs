//! One file from a hub into the cache: found, resumed, verified, put in its place. Either the right bytes end up there,
//! or nothing does and the part that came is kept.

use super::cache::Cache;
use super::client::{Answer, Ask, Client, Failure, passing};
use super::digest::Hasher;
use super::disk::Lock;
use super::facts::Facts;
use super::listing::{RemoteFile, check};
use super::name::{Commit, Etag, Repo};
use super::report::{Event, Report};
use super::url::{escape_path, without_query};
use super::{HubError, printable};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most bytes one request asks for: content networks refuse more than 50 GB at once, and links to them expire.
const MOST_BYTES_A_REQUEST: u64 = 16 << 30;
/// A failure after this many new bytes does not count against the patience.
const PROGRESS_BYTES: u64 = 1 << 20;
/// A connection that brings fewer bytes in the time a dead one is given counts as dead.
const FEWEST_BYTES: u64 = 1 << 10;
/// How often a file that arrived wrong is fetched anew from its start.
const MOST_RESTARTS: u32 = 2;

/// A file to fetch, and who helps.
pub struct Fetch<'a> {
    /// The hub.
    pub client: &'a Client,
    /// Where to.
    pub cache: &'a Cache,
    /// Of this repository.
    pub repo: &'a Repo,
    /// At this commit.
    pub commit: &'a Commit,
    /// This file.
    pub file: &'a RemoteFile,
    /// Who listens.
    pub report: &'a dyn Report,
}

/// The part of a file that is here, and its checksum so far.
struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    hasher: Hasher,
}

impl Fetch<'_> {
    /// Fetches the file, unless its content is here already. Returns the bytes that came over the network.
    ///
    /// Errors: see [`HubError`]; what has arrived stays.
    pub fn run(&self) -> Result<u64, HubError> {
        let facts = self.facts()?;
        let _lock = self.lock(&facts.etag)?;
        let blob = self.cache.blob(self.repo, &facts.etag);
        let mut fetched = 0;
        match fs::metadata(&blob) {
            Ok(there) if there.len() == facts.size => {}
            found => {
                if found.is_ok() {
                    // Cut short by a full disk or a crash: nobody can use it.
                    fs::remove_file(&blob).map_err(|e| HubError::disk("replace", &blob, e))?;
                }
                let mut partial = self.partial(&facts)?;
                fetched = self.download(&facts, &mut partial)?;
                partial
                    .file
                    .sync_data()
                    .map_err(|e| HubError::disk("write", &partial.path, e))?;
                fs::rename(&partial.path, &blob)
                    .map_err(|e| HubError::disk("rename", &partial.path, e))?;
            }
        }
        self.cache
            .link(self.repo, self.commit, &self.file.path, &facts.etag)?;
        self.report.tell(&Event::Finished {
            file: self.file.path.as_str(),
            size: facts.size,
        });
        Ok(fetched)
    }

    /// Where the hub has it, at this very commit.
    pub fn url(&self) -> String {
        let endpoint = self.client.endpoint();
        format!(
            "{endpoint}/{}/resolve/{}/{}",
            self.repo,
            self.commit,
            escape_path(self.file.path.as_str())
        )
    }

    /// Waits until no other process fetches this content.
    fn lock(&self, etag: &Etag) -> Result<Lock, HubError> {
        let mut told = false;
        loop {
            if let Some(lock) = self.cache.try_lock(self.repo, etag.as_str())? {
                return Ok(lock);
            }
            if !told {
                self.report.tell(&Event::Waiting {
                    file: self.file.path.as_str(),
                });
                told = true;
            }
            self.client.sleep(Duration::from_millis(200))?;
        }
    }

    /// The part that is here, its checksum computed.
    fn partial(&self, facts: &Facts) -> Result<Partial, HubError> {
        let path = self.cache.partial(self.repo, &facts.etag);
        let error = |e| HubError::disk("write", &path, e);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(error)?;
        let len = file.metadata().map_err(error)?.len();
        let mut partial = Partial {
            hasher: Hasher::new(facts.digest.as_ref(), facts.size),
            path,
            file,
            len,
        };
        if len > facts.size {
            partial.restart(facts)?;
        } else if len > 0 {
            self.report.tell(&Event::Checking {
                file: self.file.path.as_str(),
                bytes: len,
            });
            self.hash(&mut partial)?;
        }
        Ok(partial)
    }

    fn hash(&self, partial: &mut Partial) -> Result<(), HubError> {
        let mut buffer = vec![0; 1 << 20];
        let mut left = partial.len;
        while left > 0 {
            self.client.check_stop()?;
            let most = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let bytes = partial.file.read(&mut buffer[..most]);
            match bytes.map_err(|e| HubError::disk("read", &partial.path, e))? {
                0 => break,
                n => {
                    partial.hasher.update(&buffer[..n]);
                    left -= n as u64;
                }
            }
        }
        partial.len -= left;
        Ok(())
    }

    /// Fetches what is missing until the file is whole and right. Returns the bytes that came over the network.
    fn download(&self, facts: &Facts, partial: &mut Partial) -> Result<u64, HubError> {
        let what = format!("fetch {}", self.file.path);
        let (mut failures, mut restarts, mut fetched) = (0, 0, 0);
        let mut elsewhere_etag = None;
        loop {
            self.tell_progress(facts, partial);
            if partial.len == facts.size {
                match partial.verify(self.file.path.as_str(), facts) {
                    Ok(()) => return Ok(fetched),
                    Err(error) if restarts >= MOST_RESTARTS.min(self.client.retries) => {
                        partial.restart(facts)?;
                        return Err(error);
                    }
                    Err(error) => {
                        restarts += 1;
                        partial.restart(facts)?;
                        let why = error.to_string();
                        let why = why.lines().next().unwrap_or_default();
                        self.client
                            .after(passing(why), &what, &mut failures, self.report)?;
                        continue;
                    }
                }
            }
            let before = partial.len;
            let result = self.attempt(facts, partial, &mut elsewhere_etag, &mut fetched);
            if partial.len >= before + PROGRESS_BYTES {
                failures = 0;
            }
            if let Err(failure) = result {
                self.client
                    .after(failure, &what, &mut failures, self.report)?;
            }
        }
    }

    /// One request for what is missing.
    fn attempt(
        &self,
        facts: &Facts,
        partial: &mut Partial,
        elsewhere_etag: &mut Option<String>,
        fetched: &mut u64,
    ) -> Result<(), Failure> {
        let end = facts.size.min(partial.len + MOST_BYTES_A_REQUEST);
        let range = (partial.len > 0 || end < facts.size)
            .then(|| format!("bytes={}-{}", partial.len, end - 1));
        let url = self.url();
        let answer = self.client.send(Ask {
            range: range.as_deref(),
            if_range: [facts.strong_etag.as_deref(), elsewhere_etag.as_deref()],
            ..Ask::get(&url)
        })?;
        if let Some(failure) = answer.passing_trouble() {
            return Err(failure);
        }
        let place = without_query(&answer.url).to_owned();
        match answer.status {
            // The part here is longer than what the server has.
            416 => {
                partial.restart(facts)?;
                return Err(passing(format!(
                    "{place} does not have the bytes asked for"
                )));
            }
            status @ (400..) if !answer.is_hub => {
                // Links to content networks expire; the hub gives a new one.
                return Err(passing(format!("{place} answered {status}")));
            }
            _ => check(
                self.client,
                &answer,
                self.repo,
                &format!("file {} in it", self.file.path),
            )?,
        }
        let etag = match facts.linked {
            true => answer.hub_header("x-linked-etag"),
            false => answer.header("etag").filter(|_| answer.is_hub),
        };
        if etag
            .and_then(Etag::parse)
            .is_some_and(|etag| etag != facts.etag)
        {
            return Err(passing(format!(
                "{place} has another version of the file now"
            )));
        }
        self.check_range(facts, partial, &answer)?;
        if !answer.is_hub {
            *elsewhere_etag = answer
                .header("etag")
                .filter(|tag| tag.starts_with('"'))
                .map(str::to_owned);
        }
        self.receive(facts, partial, answer, end, fetched)
    }

    /// Whether the answer begins where the part here ends; a server that sends all of it is let start over.
    fn check_range(
        &self,
        facts: &Facts,
        partial: &mut Partial,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let place = without_query(&answer.url);
        if answer.is_web_page() && !self.file.path.as_str().ends_with(".html") {
            return Err(passing(format!(
                "{place} sent a web page instead of the file"
            )));
        }
        if answer
            .header("content-encoding")
            .is_some_and(|how| how != "identity")
        {
            return Err(passing(format!(
                "{place} sent the file compressed, which was not asked for"
            )));
        }
        if answer.status == 206 {
            let range = answer.header("content-range").unwrap_or("");
            let fits = range
                .strip_prefix("bytes ")
                .and_then(|r| r.split_once('/'))
                .and_then(|(range, size)| Some((range.split_once('-')?.0, size)))
                .is_some_and(|(start, size)| {
                    start == partial.len.to_string()
                        && (size == "*" || size == facts.size.to_string())
                });
            if fits {
                return Ok(());
            }
            partial.restart(facts)?;
            return Err(passing(format!(
                "{place} sent other bytes than asked for ({:?})",
                printable(range)
            )));
        }
        if partial.len > 0 {
            partial.restart(facts)?;
        }
        let length = answer
            .header("content-length")
            .and_then(|text| text.parse::<u64>().ok());
        match length.filter(|length| *length != facts.size) {
            Some(length) => Err(passing(format!(
                "{place} sends {length} bytes of {}",
                facts.size
            ))),
            None => Ok(()),
        }
    }

    /// Takes what comes, up to `end`, and writes it.
    fn receive(
        &self,
        facts: &Facts,
        partial: &mut Partial,
        answer: Answer,
        end: u64,
        fetched: &mut u64,
    ) -> Result<(), Failure> {
        let place = without_query(&answer.url).to_owned();
        let end = if answer.status == 206 {
            end
        } else {
            facts.size
        };
        let mut reader = answer.reader();
        let mut buffer = vec![0; 256 << 10];
        let (mut window, mut window_bytes) = (Instant::now(), 0);
        loop {
            self.client.check_stop()?;
            let bytes = match reader.read(&mut buffer) {
                Ok(0) if partial.len < end => {
                    return Err(passing(format!(
                        "{place} cut the connection after {} of {} bytes",
                        partial.len, facts.size
                    )));
                }
                Ok(0) => return Ok(()),
                Ok(n) => &buffer[..n],
                Err(e) => {
                    self.client.check_stop()?;
                    return Err(passing(format!(
                        "{place}: {e}, after {} of {} bytes",
                        partial.len, facts.size
                    )));
                }
            };
            if bytes.len() as u64 > end - partial.len {
                partial.restart(facts)?;
                return Err(passing(format!(
                    "{place} sent more than the {} bytes of the file",
                    facts.size
                )));
            }
            partial.append(bytes)?;
            *fetched += bytes.len() as u64;
            window_bytes += bytes.len() as u64;
            self.tell_progress(facts, partial);
            if window.elapsed() >= self.client.stall {
                if window_bytes < FEWEST_BYTES && partial.len < end {
                    let seconds = window.elapsed().as_secs();
                    return Err(passing(format!(
                        "{place} sent only {window_bytes} bytes in {seconds} s"
                    )));
                }
                (window, window_bytes) = (Instant::now(), 0);
            }
        }
    }

    fn tell_progress(&self, facts: &Facts, partial: &Partial) {
        self.report.tell(&Event::Progress {
            file: self.file.path.as_str(),
            bytes: partial.len,
            size: facts.size,
        });
    }
}

impl Partial {
    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file
            .write_all(bytes)
            .map_err(|e| HubError::disk("write", &self.path, e))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self, facts: &Facts) -> Result<(), HubError> {
        let error = |e| HubError::disk("write", &self.path, e);
        self.file.set_len(0).map_err(error)?;
        self.file.seek(SeekFrom::Start(0)).map_err(error)?;
        self.len = 0;
        self.hasher = Hasher::new(facts.digest.as_ref(), facts.size);
        Ok(())
    }

    /// Compares the checksum. It is spent afterwards.
    fn verify(&mut self, file: &str, facts: &Facts) -> Result<(), HubError> {
        let got = std::mem::replace(&mut self.hasher, Hasher::None).finish();
        match (&facts.digest, got) {
            (Some(expected), Some(got)) if *expected != got => Err(HubError::Mismatch {
                file: file.to_owned(),
                expected: expected.to_string(),
                got: got.to_string(),
            }),
            _ => Ok(()),
        }
    }
}
