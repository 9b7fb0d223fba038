//! What can go wrong between a hub, the cache and the user. Each message: what, then what to do.

use crate::load::bytes;
use std::path::{Path, PathBuf};

/// Why a model could not be fetched, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Text that names no repository, revision or file.
    #[error(
        "{what:?} is not a hub name: {why}\n\
         Expected owner/repo, owner/repo:VARIANT or owner/repo@REVISION:VARIANT"
    )]
    Name {
        /// What was given.
        what: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The environment asks for something that cannot be.
    #[error("{what}\n{advice}")]
    Setup {
        /// Which setting, and what is wrong with it.
        what: String,
        /// What to set instead.
        advice: String,
    },
    /// The server answered, and the answer is no: not found, not allowed, too often.
    #[error("{what}\n{advice}")]
    Refused {
        /// What was refused.
        what: String,
        /// How to be allowed.
        advice: String,
    },
    /// Every attempt failed for a reason that may pass.
    #[error(
        "{what}: {why} ({attempts} attempts)\n\
         Check the network (HTTPS_PROXY is heeded). What has arrived is kept; run the same command again to go on"
    )]
    GaveUp {
        /// What was asked for.
        what: String,
        /// The last reason.
        why: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server does not answer as a hub does.
    #[error(
        "{url} does not answer like a Hugging Face hub: expected {expected}, got {got}\n\
         If HF_ENDPOINT is set, check that it is a hub's address; else look for a proxy or a login page in between"
    )]
    NotAHub {
        /// Where.
        url: String,
        /// What a hub sends.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The repository lists a file that must not be written.
    #[error(
        "{repo} lists a file that is not safe to write, {path:?}: {why}\n\
         Nothing of it was fetched. Report this to the hub; do not use the repository"
    )]
    Hostile {
        /// The repository.
        repo: String,
        /// The file.
        path: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// No form of the model fits what was asked for, or several do.
    #[error("{what}\n{advice}")]
    Variant {
        /// What was asked for, and how many fit.
        what: String,
        /// What there is.
        advice: String,
    },
    /// A file arrived whole and is not what the hub says it is.
    #[error(
        "{file}: expected {expected}, got {got}\n\
         The download was thrown away. Run the same command again; if it happens again, the server's copy is damaged"
    )]
    Mismatch {
        /// The file.
        file: String,
        /// Size or checksum, as listed.
        expected: String,
        /// As received.
        got: String,
    },
    /// Too little space for what is still to come.
    #[error(
        "not enough disk space in {}: {} still to fetch, {} to leave free, {} there ({} short)\n\
         Free some (`tramontane list`, `tramontane rm`), or set HF_HUB_CACHE to a larger disk",
        path.display(), bytes(*needed), bytes(*margin), bytes(*free), bytes((needed + margin).saturating_sub(*free))
    )]
    Space {
        /// The cache.
        path: PathBuf,
        /// Bytes still to fetch.
        needed: u64,
        /// Bytes left to the rest of the machine.
        margin: u64,
        /// Bytes free.
        free: u64,
    },
    /// The disk would not do it.
    #[error("cannot {doing} {}: {source}\n{advice}", path.display())]
    Disk {
        /// A verb.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// Ctrl-C.
    #[error("interrupted\nWhat has arrived is kept; run the same command again to go on")]
    Interrupted,
    /// A hub name that is not in the cache, or not all of it.
    #[error("{what}\nFetch it with: tramontane pull {name}")]
    NotPulled {
        /// What is missing.
        what: String,
        /// What to pull.
        name: String,
    },
    /// Another process writes what should be removed.
    #[error("{what} is being downloaded by another process\nWait for it or end it, then try again")]
    Busy {
        /// The repository.
        what: String,
    },
}

impl HubError {
    /// A failure of the disk.
    pub fn disk(doing: &'static str, path: &Path, source: std::io::Error) -> HubError {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let advice = match source.kind() {
            PermissionDenied | ReadOnlyFilesystem => {
                "Check who owns it, or set HF_HUB_CACHE to a folder that may be written"
            }
            StorageFull => {
                "Free some space (`tramontane list`, `tramontane rm`); what has arrived is kept, the same command goes on"
            }
            _ => "Check the disk and the path; HF_HUB_CACHE says where the cache is",
        };
        HubError::Disk {
            doing,
            path: path.to_owned(),
            source,
            advice,
        }
    }
}
