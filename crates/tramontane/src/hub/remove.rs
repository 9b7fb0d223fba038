//! Taking models out of the cache: links first, then the contents that nothing links to any more.

use super::HubError;
use super::cache::Cache;
use super::disk::Lock;
use super::forms::{Form, choose, forms};
use super::name::{Commit, Name, Repo, is_hex};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Most bytes of a list of who shares a content.
const MOST_REFERENCES_BYTES: u64 = 16 << 20;

/// What removing a name takes away.
#[derive(Debug)]
pub struct Removal {
    repo: Repo,
    /// Links, by their paths.
    links: Vec<PathBuf>,
    /// Contents that only those links use, and parts of downloads.
    blobs: Vec<PathBuf>,
    /// Contents of the store that repositories share, used by nothing else.
    shared: Vec<PathBuf>,
    /// Whether the repository goes as a whole.
    whole: bool,
    /// Bytes this frees.
    pub freed_bytes: u64,
    /// Bytes that stay because other models use them.
    pub kept_bytes: u64,
}

impl Cache {
    /// What removing `name` would take away: the repository, or the variant or revision that was named.
    ///
    /// Errors: it is not in the cache, or several variants fit.
    pub fn removal(&self, name: &Name) -> Result<Removal, HubError> {
        let repo = &name.repo;
        if !self.folder(repo).is_dir() {
            return Err(HubError::Setup {
                what: format!("{repo} is not in the cache, {}", self.root.display()),
                advice: "`tramontane list` shows what is".to_owned(),
            });
        }
        let whole = name.variant.is_none() && name.revision.is_none();
        let (links, others) = self.links_of(name)?;
        let blob_of = |link: &PathBuf| self.blob_behind(repo, link);
        let still_used: BTreeSet<PathBuf> = others.iter().filter_map(blob_of).collect();
        let touched: BTreeSet<PathBuf> = links.iter().filter_map(blob_of).collect();
        let mut blobs: Vec<PathBuf> = touched.difference(&still_used).cloned().collect();
        if whole {
            // Also contents and parts of downloads that nothing links to.
            blobs = list(&self.folder(repo).join("blobs"));
        }
        let shared: BTreeSet<PathBuf> = blobs
            .iter()
            .filter_map(|blob| self.shared_behind(blob))
            .collect();
        let shared = shared
            .into_iter()
            .filter(|store| self.is_unused(store, &blobs))
            .collect::<Vec<_>>();
        let own_bytes = |path: &PathBuf| {
            fs::symlink_metadata(path)
                .ok()
                .filter(|f| f.is_file())
                .map_or(0, |f| f.len())
        };
        let all_bytes = |path: &PathBuf| fs::metadata(path).map_or(0, |f| f.len());
        // Where links could not be made, the files themselves lie in the snapshot.
        let freed_bytes = [&links, &blobs, &shared]
            .into_iter()
            .flatten()
            .map(own_bytes)
            .sum();
        let kept_bytes = touched.intersection(&still_used).map(all_bytes).sum();
        Ok(Removal {
            repo: repo.clone(),
            links,
            blobs,
            shared,
            whole,
            freed_bytes,
            kept_bytes,
        })
    }

    /// Removes it. Whoever downloads one of the contents right now is left alone.
    ///
    /// Errors: a content is being downloaded, or the disk refuses.
    pub fn remove(&self, removal: &Removal) -> Result<(), HubError> {
        let repo = &removal.repo;
        let mut locks: Vec<Lock> = Vec::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for blob in &removal.blobs {
            let name = blob.file_name().unwrap_or_default().to_string_lossy();
            let etag = etag_of(&name);
            // A partial download and its content share a lock: taking it once is enough.
            if !taken.insert(etag.to_owned()) {
                continue;
            }
            match self.try_lock(repo, etag)? {
                Some(lock) => locks.push(lock),
                None => {
                    return Err(HubError::Busy {
                        what: repo.to_string(),
                    });
                }
            }
        }
        for path in removal.links.iter().chain(&removal.blobs) {
            unlink(path)?;
        }
        for store in &removal.shared {
            self.remove_shared(store)?;
        }
        let folder = self.folder(repo);
        let snapshots = folder.join("snapshots");
        for commit in list(&snapshots) {
            remove_empty(&commit);
        }
        self.drop_dead_refs(repo);
        if removal.whole || list(&snapshots).is_empty() {
            fs::remove_dir_all(&folder).map_err(|e| HubError::disk("remove", &folder, e))?;
        }
        Ok(())
    }

    /// The links a name stands for, and all others of the repository.
    fn links_of(&self, name: &Name) -> Result<(Vec<PathBuf>, Vec<PathBuf>), HubError> {
        let repo = &name.repo;
        let (mut links, mut others) = (Vec::new(), Vec::new());
        let mut problem = None;
        for commit in self.commits(repo) {
            let snapshot = self.snapshot(repo, &commit);
            let all: Vec<PathBuf> = everything_below(&snapshot);
            let forms = forms(&self.files(repo, &commit));
            let chosen = match (self.is_meant(name, &commit), &name.variant) {
                (false, _) => None,
                (true, None) => Some(all.iter().cloned().collect()),
                (true, Some(variant)) => match choose(&forms, Some(variant), repo.as_str()) {
                    Ok(form) => Some(only_of(form, &forms, &snapshot)),
                    Err(error) => {
                        problem = Some(error);
                        None
                    }
                },
            };
            let chosen: BTreeSet<PathBuf> = chosen.unwrap_or_default();
            for link in all {
                if chosen.contains(&link) {
                    links.push(link)
                } else {
                    others.push(link)
                }
            }
        }
        match problem {
            Some(error) if links.is_empty() => Err(error),
            _ if links.is_empty() && name.revision.is_some() => Err(HubError::Setup {
                what: format!("{name} is not in the cache"),
                advice: "`tramontane list` shows what is".to_owned(),
            }),
            _ => Ok((links, others)),
        }
    }

    fn is_meant(&self, name: &Name, commit: &Commit) -> bool {
        match &name.revision {
            None => true,
            Some(revision) => {
                revision.as_str() == commit.as_str()
                    || self
                        .refs(&name.repo)
                        .get(commit)
                        .is_some_and(|refs| refs.iter().any(|r| r == revision.as_str()))
            }
        }
    }

    /// The content of this repository that a link leads to.
    fn blob_behind(&self, repo: &Repo, link: &Path) -> Option<PathBuf> {
        let blobs = self.folder(repo).join("blobs");
        let target = plain(&link.parent()?.join(fs::read_link(link).ok()?));
        (target.parent() == Some(&plain(&blobs))).then_some(target)
    }

    /// The content of the shared store that a blob leads to.
    fn shared_behind(&self, blob: &Path) -> Option<PathBuf> {
        let target = plain(&blob.parent()?.join(fs::read_link(blob).ok()?));
        let name = target.file_name()?.to_str()?;
        let store = plain(&self.root)
            .join("blobs")
            .join(name.get(..2)?)
            .join(name);
        (target == store && is_hex(name, 64)).then_some(store)
    }

    /// Whether all users of a shared content are among `leaving`. A list that cannot be read means: no.
    fn is_unused(&self, store: &Path, leaving: &[PathBuf]) -> bool {
        let references = with_ending(store, ".refs");
        let small = fs::symlink_metadata(&references)
            .is_ok_and(|f| f.is_file() && f.len() <= MOST_REFERENCES_BYTES);
        let Some(text) = small
            .then(|| fs::read_to_string(&references).ok())
            .flatten()
        else {
            return false;
        };
        let leaving: BTreeSet<PathBuf> = leaving.iter().map(|blob| plain(blob)).collect();
        text.lines().all(|line| {
            let user = plain(&self.root.join(line));
            leaving.contains(&user) || self.shared_behind(&user).as_deref() != Some(store)
        })
    }

    /// Removes a shared content, unless somebody began to use it meanwhile.
    fn remove_shared(&self, store: &Path) -> Result<(), HubError> {
        let Some(_lock) = Lock::try_take(&with_ending(store, ".lock"))? else {
            return Ok(());
        };
        if self.is_unused(store, &[]) {
            unlink(store)?;
            unlink(&with_ending(store, ".refs"))?;
        }
        Ok(())
    }

    /// Forgets branches and tags whose commit is gone.
    fn drop_dead_refs(&self, repo: &Repo) {
        let commits = self.commits(repo);
        for path in everything_below(&self.folder(repo).join("refs")) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_dead =
                Commit::parse(text.trim()).is_some_and(|commit| !commits.contains(&commit));
            if is_dead {
                // A note too many is harmless.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The files of a form that no other form of the snapshot needs.
fn only_of(form: &Form, forms: &[Form], snapshot: &Path) -> BTreeSet<PathBuf> {
    let others: BTreeSet<&String> = forms
        .iter()
        .filter(|other| *other != form)
        .flat_map(|other| &other.files)
        .collect();
    form.files
        .iter()
        .filter(|path| !others.contains(path))
        .map(|path| snapshot.join(path))
        .collect()
}

/// The content that a file among the blobs is, or is a part of: `ETAG`, `ETAG.incomplete`, or `ETAG.0123abcd.incomplete`
/// as the Python library calls it.
fn etag_of(name: &str) -> &str {
    let Some(partial) = name.strip_suffix(".incomplete") else {
        return name;
    };
    match partial.rsplit_once('.') {
        Some((etag, process)) if is_hex(process, 8) => etag,
        _ => partial,
    }
}

fn unlink(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(HubError::disk("remove", path, e))
        }
        _ => Ok(()),
    }
}

/// Removes a folder if nothing but empty folders is in it.
fn remove_empty(folder: &Path) {
    for inner in list(folder) {
        if fs::symlink_metadata(&inner).is_ok_and(|facts| facts.is_dir()) {
            remove_empty(&inner);
        }
    }
    // It stays if something is in it.
    let _ = fs::remove_dir(folder);
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Links and files below a folder, broken links too; folders behind links are not entered.
fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in list(folder) {
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_dir() => found.extend(everything_below(&path)),
            Ok(_) => found.push(path),
            Err(_) => {}
        }
    }
    found
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// A path without `.` and `..`, which are resolved by name.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_downloads_name_their_content() {
        for name in ["ab12", "ab12.incomplete", "ab12.0123abcd.incomplete"] {
            assert_eq!(etag_of(name), "ab12");
        }
        assert_eq!(etag_of("a.b.incomplete"), "a.b");
    }

    #[test]
    fn paths_are_resolved_by_name() {
        assert_eq!(plain(Path::new("/a/b/../../c/./d")), Path::new("/c/d"));
    }
}
