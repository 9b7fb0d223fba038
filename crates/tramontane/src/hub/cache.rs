//! The folder that models are kept in, laid out as the hub's Python library lays it out, so that both find what the other
//! fetched. Nothing here touches the network.
//!
//! ```text
//! models--owner--repo/blobs/ETAG                      contents; ETAG.incomplete while it is fetched
//!                     refs/main                       the commit a branch or tag stood for
//!                     snapshots/COMMIT/PATH           links to blobs
//! .locks/models--owner--repo/ETAG.lock                held by whoever fetches that blob
//! blobs/XX/HASH                                       contents that several repositories share; blobs/ETAG links to them
//! ```

use super::disk::{self, Lock};
use super::forms::{Form, Kind, Listed, choose, forms};
use super::name::{Commit, Etag, FilePath, Name, Repo, Revision};
use super::{HubError, settings};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Deepest folder inside a repository that is looked into.
const MOST_DEPTH: usize = 16;
/// Most files of a snapshot that are looked at.
const MOST_FILES: usize = 100_000;
/// Most bytes an index of shards may have.
const MOST_INDEX_BYTES: u64 = 64 << 20;
/// Tells backup programs to leave the cache out (<https://bford.info/cachedir/>).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # Models fetched from a hub; they can be fetched again.\n";

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Its folder.
    pub root: PathBuf,
}

/// A model that is in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What to open: a directory, or a GGUF's first part.
    pub path: PathBuf,
    /// The vision tower of a GGUF.
    pub mmproj: Option<PathBuf>,
}

/// One form of one commit of a repository, as it is in the cache.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The repository.
    pub repo: Repo,
    /// The commit.
    pub commit: Commit,
    /// Branches and tags that stand for it.
    pub refs: Vec<String>,
    /// The form.
    pub form: Form,
    /// What is missing of it, if something is.
    pub lacks: Option<String>,
    /// What to open.
    pub path: PathBuf,
    /// When a file of it was last read, as far as the system keeps note.
    pub last_used: Option<SystemTime>,
}

impl Cache {
    /// The cache the environment names. It need not exist yet.
    ///
    /// Errors: no home to put it in.
    pub fn from_env() -> Result<Cache, HubError> {
        let root = settings::cache_folder()?;
        Ok(Cache { root })
    }

    /// A repository's folder.
    pub fn folder(&self, repo: &Repo) -> PathBuf {
        self.root.join(repo.folder())
    }

    /// Where a content is.
    pub fn blob(&self, repo: &Repo, etag: &Etag) -> PathBuf {
        self.folder(repo).join("blobs").join(etag.as_str())
    }

    /// Where a content is while it is fetched.
    pub fn partial(&self, repo: &Repo, etag: &Etag) -> PathBuf {
        self.folder(repo)
            .join("blobs")
            .join(format!("{etag}.incomplete"))
    }

    /// A commit's folder.
    pub fn snapshot(&self, repo: &Repo, commit: &Commit) -> PathBuf {
        self.folder(repo).join("snapshots").join(commit.as_str())
    }

    /// Takes the lock of a content, if nobody holds it.
    ///
    /// Errors: no lock file can be made.
    pub fn try_lock(&self, repo: &Repo, blob_name: &str) -> Result<Option<Lock>, HubError> {
        let folder = self.root.join(".locks").join(repo.folder());
        Lock::try_take(&folder.join(format!("{blob_name}.lock")))
    }

    /// Makes the folders a repository needs.
    ///
    /// Errors: they cannot be made.
    pub fn prepare(&self, repo: &Repo) -> Result<(), HubError> {
        disk::make_folder(&self.folder(repo).join("blobs"))?;
        let tag = self.root.join("CACHEDIR.TAG");
        if !tag.exists() {
            // A missing tag only makes backups larger.
            let _ = fs::write(tag, TAG);
        }
        Ok(())
    }

    /// Puts a file into a snapshot: a link to its content.
    ///
    /// Errors: the link cannot be made.
    pub fn link(
        &self,
        repo: &Repo,
        commit: &Commit,
        path: &FilePath,
        etag: &Etag,
    ) -> Result<(), HubError> {
        let link = self.snapshot(repo, commit).join(path.as_str());
        if let Some(folder) = link.parent() {
            disk::make_folder(folder)?;
        }
        let up = "../".repeat(path.depth() + 2);
        disk::link(Path::new(&format!("{up}blobs/{etag}")), &link)
    }

    /// Notes which commit a branch or tag stands for.
    ///
    /// Errors: the note cannot be written.
    pub fn note(&self, repo: &Repo, revision: &Revision, commit: &Commit) -> Result<(), HubError> {
        if revision.commit().is_some() || self.noted(repo, revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder(repo).join("refs").join(revision.as_str());
        if let Some(folder) = path.parent() {
            disk::make_folder(folder)?;
        }
        let fresh = path.with_file_name(format!("{}.tmp", std::process::id()));
        fs::write(&fresh, commit.as_str())
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|e| HubError::disk("write", &path, e))
    }

    /// The commit a revision stands for, as last seen.
    fn noted(&self, repo: &Repo, revision: &Revision) -> Option<Commit> {
        if let Some(commit) = revision.commit() {
            return Some(commit);
        }
        let text = fs::read(self.folder(repo).join("refs").join(revision.as_str())).ok()?;
        Commit::parse(std::str::from_utf8(&text).ok()?.trim())
    }

    /// The repositories in the cache.
    pub fn repos(&self) -> Vec<Repo> {
        let mut repos: Vec<Repo> = entries(&self.root)
            .iter()
            .filter_map(|name| Repo::from_folder(name))
            .collect();
        repos.sort();
        repos
    }

    /// A repository's commits in the cache, the newest folder first.
    pub fn commits(&self, repo: &Repo) -> Vec<Commit> {
        let folder = self.folder(repo).join("snapshots");
        let changed = |commit: &Commit| {
            fs::metadata(folder.join(commit.as_str()))
                .and_then(|m| m.modified())
                .ok()
        };
        let mut commits: Vec<Commit> = entries(&folder)
            .iter()
            .filter_map(|name| Commit::parse(name))
            .collect();
        commits.sort_by_key(|commit| (std::cmp::Reverse(changed(commit)), commit.clone()));
        commits
    }

    /// The files of a snapshot whose contents are there.
    pub fn files(&self, repo: &Repo, commit: &Commit) -> Vec<Listed> {
        let mut files = Vec::new();
        walk(&self.snapshot(repo, commit), "", 0, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Every form of every commit of a repository.
    pub fn kept(&self, repo: &Repo) -> Vec<Kept> {
        let refs = self.refs(repo);
        let mut kept = Vec::new();
        for commit in self.commits(repo) {
            let snapshot = self.snapshot(repo, &commit);
            for form in forms(&self.files(repo, &commit)) {
                let used = |path: &String| {
                    let facts = fs::metadata(snapshot.join(path)).ok()?;
                    facts.accessed().or_else(|_| facts.modified()).ok()
                };
                kept.push(Kept {
                    repo: repo.clone(),
                    commit: commit.clone(),
                    refs: refs.get(&commit).cloned().unwrap_or_default(),
                    lacks: lacks(&snapshot, &form),
                    path: located(&snapshot, &form).path,
                    last_used: form.files.iter().filter_map(used).max(),
                    form,
                });
            }
        }
        kept
    }

    /// Branches and tags by the commit they stand for.
    pub fn refs(&self, repo: &Repo) -> BTreeMap<Commit, Vec<String>> {
        let mut files = Vec::new();
        walk(&self.folder(repo).join("refs"), "", 0, &mut files);
        let mut refs: BTreeMap<Commit, Vec<String>> = BTreeMap::new();
        for file in files {
            if let Ok(revision) = Revision::parse(&file.path)
                && let Some(commit) = self.noted(repo, &revision)
            {
                refs.entry(commit).or_default().push(file.path);
            }
        }
        refs
    }

    /// Finds what a name means in the cache: in the revision it names, else in `main`, else in any commit that has all of
    /// it, the newest first.
    ///
    /// Errors: not there, not all of it, or several variants fit. Each says what to pull.
    pub fn locate(&self, name: &Name) -> Result<Located, HubError> {
        let not_pulled = |what| HubError::NotPulled {
            what,
            name: name.to_string(),
        };
        let main = Revision::main();
        let first = self.noted(&name.repo, name.revision.as_ref().unwrap_or(&main));
        let others = match name.revision {
            Some(_) => Vec::new(),
            None => self.commits(&name.repo),
        };
        let mut problem = None;
        for commit in first.iter().chain(
            others
                .iter()
                .filter(|commit| Some(*commit) != first.as_ref()),
        ) {
            match self.locate_at(name, commit) {
                Ok(located) => return Ok(located),
                Err(error) => problem = problem.or(error),
            }
        }
        Err(problem.unwrap_or_else(|| {
            not_pulled(format!(
                "{name} is not in the cache, {}",
                self.root.display()
            ))
        }))
    }

    /// What a name means at one commit. The error is none if nothing of it is there.
    fn locate_at(&self, name: &Name, commit: &Commit) -> Result<Located, Option<HubError>> {
        let forms = forms(&self.files(&name.repo, commit));
        if forms.is_empty() {
            return Err(None);
        }
        let pull = |what| HubError::NotPulled {
            what,
            name: name.to_string(),
        };
        let form = choose(&forms, name.variant.as_deref(), name.repo.as_str()).map_err(
            |error| match &name.variant {
                // It may be on the hub though it is not here.
                Some(_) => pull(format!("{name} is not in the cache: {error}")),
                None => error,
            },
        )?;
        let snapshot = self.snapshot(&name.repo, commit);
        match lacks(&snapshot, form) {
            Some(what) => Err(Some(pull(format!(
                "the download of {name} is not complete: {what}"
            )))),
            None => Ok(located(&snapshot, form)),
        }
    }
}

/// What to open of a form.
pub fn located(snapshot: &Path, form: &Form) -> Located {
    let inside = |path: &String| snapshot.join(path);
    Located {
        path: form
            .first
            .as_ref()
            .map_or_else(|| snapshot.to_owned(), inside),
        mmproj: form.mmproj.as_ref().map(inside),
    }
}

/// What a form in the cache lacks: parts its names promise, or shards its index names.
pub fn lacks(snapshot: &Path, form: &Form) -> Option<String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    if let Some(path) = form.missing.first() {
        return Some(format!("{path} is missing"));
    }
    let index = match form.kind {
        Kind::HuggingFace => "model.safetensors.index.json",
        Kind::Native => "consolidated.safetensors.index.json",
        Kind::Gguf => return None,
    };
    let path = snapshot.join(index);
    let size = fs::metadata(&path).ok()?.len();
    // What is wrong with the index itself is said by the loader, better.
    let text = (size <= MOST_INDEX_BYTES).then(|| fs::read(&path).ok())??;
    let index: Index = serde_json::from_slice(&text).ok()?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    let missing = shards
        .into_iter()
        .find(|shard| !form.files.contains(shard))?;
    Some(format!("{} is missing", super::printable(missing)))
}

/// Names in a folder; none if it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Files below a folder, through links to files but not through links to folders.
fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<Listed>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < MOST_DEPTH => {
                walk(&entry.path(), &format!("{path}/"), depth + 1, files);
            }
            // A link whose content is gone has no size and is left out.
            Ok(kind) if !kind.is_dir() && files.len() < MOST_FILES => {
                if let Ok(facts) = fs::metadata(entry.path())
                    && facts.is_file()
                {
                    files.push(Listed {
                        path,
                        size: Some(facts.len()),
                    });
                }
            }
            _ => {}
        }
    }
}
