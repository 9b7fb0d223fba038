//! A whole model from a hub into the cache: listing, choice, space, files, and the note that it is there.

use super::HubError;
use super::cache::{Cache, Located, lacks, located};
use super::client::Client;
use super::digest::Digest;
use super::disk;
use super::fetch::Fetch;
use super::forms::{Form, Kind, choose, forms};
use super::listing::{Listing, RemoteFile};
use super::name::{Commit, Etag, Name, Repo, Revision};
use super::report::{Event, Report};
use std::fs;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Space left to the rest of the machine.
const MARGIN_BYTES: u64 = 64 << 20;

/// A pull, and who helps.
pub struct Pull<'a> {
    /// The hub.
    pub client: &'a Client,
    /// Where to.
    pub cache: &'a Cache,
    /// What.
    pub name: &'a Name,
    /// Files at a time.
    pub jobs: NonZero<usize>,
    /// Who listens.
    pub report: &'a dyn Report,
}

impl Pull<'_> {
    /// Fetches the model and returns where it is.
    ///
    /// Errors: see [`HubError`]; what has arrived stays.
    pub fn run(&self) -> Result<Located, HubError> {
        let (repo, main) = (&self.name.repo, Revision::main());
        let revision = self.name.revision.as_ref().unwrap_or(&main);
        let listing = Listing::fetch(self.client, repo, revision, self.report)?;
        let forms = forms(&listing.names());
        let form = choose(&forms, self.name.variant.as_deref(), repo.as_str())?;
        if let Some(part) = form.missing.first() {
            return Err(HubError::Variant {
                what: format!("{repo} lacks a part of {}: {part}", form.label),
                advice: "Its upload may not be complete; try another variant, or later".to_owned(),
            });
        }
        self.note_choice(form, &forms);
        self.cache.prepare(repo)?;
        let files = self.sized(&listing, form)?;
        let missing: Vec<&RemoteFile> = files
            .iter()
            .filter(|file| !self.is_here(file, &listing.commit))
            .collect();
        let missing_bytes = missing.iter().map(|file| self.still_to_come(file)).sum();
        self.report.tell(&Event::Plan {
            repo: repo.as_str(),
            revision: revision.as_str(),
            commit: listing.commit.as_str(),
            variant: &form.label,
            files: files.len(),
            bytes: files.iter().filter_map(|file| file.size).sum(),
            missing_bytes,
        });
        self.check_space(missing_bytes)?;
        let fetched_bytes = self.fetch(&missing, &listing.commit)?;
        self.finish(&listing.commit, revision, form, fetched_bytes)
    }

    /// Says which copy was taken where a repository holds the weights twice.
    fn note_choice(&self, form: &Form, forms: &[Form]) {
        let other = forms.iter().find(|other| other.kind == Kind::Native);
        if self.name.variant.is_none()
            && form.kind == Kind::HuggingFace
            && let Some(other) = other
        {
            let size = other
                .bytes
                .map_or(String::new(), |n| format!(", {}", crate::load::bytes(n)));
            let text = format!(
                "the repository holds the weights twice; the Hugging Face copy is taken and the native one left out \
                 (`{}:{}`{size})",
                self.name.repo, other.label
            );
            self.report.tell(&Event::Note { text: &text });
        }
    }

    /// The form's files, the size of each known.
    fn sized(&self, listing: &Listing, form: &Form) -> Result<Vec<RemoteFile>, HubError> {
        let mut files = Vec::new();
        for path in &form.files {
            let Some(file) = listing.files.iter().find(|file| file.path.as_str() == path) else {
                continue;
            };
            let mut file = file.clone();
            if file.size.is_none() {
                let facts = self.fetch_of(&file, &listing.commit).facts()?;
                file.size = Some(facts.size);
                file.digest = facts.digest;
            }
            files.push(file);
        }
        Ok(files)
    }

    fn fetch_of<'a>(&'a self, file: &'a RemoteFile, commit: &'a Commit) -> Fetch<'a> {
        Fetch {
            client: self.client,
            cache: self.cache,
            repo: &self.name.repo,
            commit,
            file,
            report: self.report,
        }
    }

    /// Whether the snapshot has the file already, whole.
    fn is_here(&self, file: &RemoteFile, commit: &Commit) -> bool {
        let path = self
            .cache
            .snapshot(&self.name.repo, commit)
            .join(file.path.as_str());
        fs::metadata(path).is_ok_and(|facts| facts.is_file() && Some(facts.len()) == file.size)
    }

    /// Bytes of a file that are not on this disk: neither as the same content of another commit nor from an earlier run.
    fn still_to_come(&self, file: &RemoteFile) -> u64 {
        let size = file.size.unwrap_or(0);
        // A hub names a content by its checksum.
        let etag = match &file.digest {
            Some(Digest::Sha256(hex) | Digest::GitBlob(hex)) => Etag::parse(hex),
            None => None,
        };
        let Some(etag) = etag else { return size };
        let len = |path| fs::metadata(path).map_or(0, |facts| facts.len());
        let repo: &Repo = &self.name.repo;
        let here = len(self.cache.blob(repo, &etag)).max(len(self.cache.partial(repo, &etag)));
        size.saturating_sub(here)
    }

    fn check_space(&self, needed: u64) -> Result<(), HubError> {
        match disk::free_space(&self.cache.root) {
            Some(free) if needed > 0 && needed.saturating_add(MARGIN_BYTES) > free => {
                Err(HubError::Space {
                    path: self.cache.root.clone(),
                    needed,
                    margin: MARGIN_BYTES,
                    free,
                })
            }
            _ => Ok(()),
        }
    }

    /// Fetches files, several at a time; the first error ends the others. Returns the bytes that came.
    fn fetch(&self, files: &[&RemoteFile], commit: &Commit) -> Result<u64, HubError> {
        let (next, fetched) = (AtomicUsize::new(0), AtomicU64::new(0));
        let first_error: Mutex<Option<HubError>> = Mutex::new(None);
        let stop = self.client.stop();
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.fetch_of(file, commit).run() {
                    Ok(bytes) => {
                        fetched.fetch_add(bytes, Ordering::Relaxed);
                    }
                    Err(error) => {
                        // A poisoned lock means another worker panicked; its panic is what counts.
                        if let Ok(mut first) = first_error.lock() {
                            first.get_or_insert(error);
                        }
                        stop.now();
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(files.len()) {
                scope.spawn(work);
            }
        });
        match first_error.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(fetched.into_inner()),
        }
    }

    /// Checks that all is there, and notes it.
    fn finish(
        &self,
        commit: &Commit,
        revision: &Revision,
        form: &Form,
        fetched_bytes: u64,
    ) -> Result<Located, HubError> {
        let snapshot = self.cache.snapshot(&self.name.repo, commit);
        if let Some(what) = lacks(&snapshot, form) {
            return Err(HubError::Variant {
                what: format!(
                    "{} is not complete on the hub: its index names a file, and {what}",
                    self.name.repo
                ),
                advice: "Try another variant, or later".to_owned(),
            });
        }
        self.cache.note(&self.name.repo, revision, commit)?;
        let located = located(&snapshot, form);
        let name = Name {
            variant: (form.kind == Kind::Gguf)
                .then(|| form.label.clone())
                .or(self.name.variant.clone()),
            ..self.name.clone()
        };
        let mmproj = located
            .mmproj
            .as_ref()
            .map(|path| path.display().to_string());
        self.report.tell(&Event::Done {
            model: &name.to_string(),
            path: &located.path.display().to_string(),
            mmproj: mmproj.as_deref(),
            fetched_bytes,
        });
        Ok(located)
    }
}
