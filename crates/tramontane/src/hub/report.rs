//! What a pull says while it runs. Who listens decides how it looks.

use serde::Serialize;

/// Something worth saying. As JSON: one object with the field `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// What will be fetched.
    Plan {
        /// `owner/repo`
        repo: &'a str,
        /// Branch, tag or commit as asked for.
        revision: &'a str,
        /// The commit it stands for now.
        commit: &'a str,
        /// The form.
        variant: &'a str,
        /// Its files.
        files: usize,
        /// Bytes of all of them.
        bytes: u64,
        /// Bytes of them that are not here yet.
        missing_bytes: u64,
    },
    /// A choice that was made for the user.
    Note {
        /// Which, and why.
        text: &'a str,
    },
    /// Another process fetches this file: its end is waited for.
    Waiting {
        /// The file.
        file: &'a str,
    },
    /// A part from an earlier run is read to check it.
    Checking {
        /// The file.
        file: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// Bytes of a file that are here now; also when it starts.
    Progress {
        /// The file.
        file: &'a str,
        /// Bytes here.
        bytes: u64,
        /// Bytes in all.
        size: u64,
    },
    /// Something failed and is tried again.
    Retry {
        /// What was tried.
        what: &'a str,
        /// Why it failed.
        why: &'a str,
        /// The pause before the next attempt.
        wait_ms: u64,
        /// Failures in a row.
        attempt: u32,
        /// Failures in a row that are put up with.
        of: u32,
    },
    /// A file is complete and verified.
    Finished {
        /// The file.
        file: &'a str,
        /// Its size.
        size: u64,
    },
    /// All of it is here.
    Done {
        /// What to give to `-m`.
        model: &'a str,
        /// Where it is.
        path: &'a str,
        /// The vision tower of a GGUF.
        mmproj: Option<&'a str>,
        /// Bytes that came over the network.
        fetched_bytes: u64,
    },
}

/// Who listens.
pub trait Report: Sync {
    /// Takes an event. Called often, and from several threads.
    fn tell(&self, event: &Event);
}
