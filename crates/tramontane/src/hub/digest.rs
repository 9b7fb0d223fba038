//! Checksums as hubs state them: SHA-256 of large files, git's blob id of small ones.

use sha1::Digest as _;
use std::fmt::{self, Write};

/// What a file's content must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the content, in hexadecimal.
    Sha256(String),
    /// SHA-1 of `blob <size>\0` and the content, in hexadecimal: git's name for it.
    GitBlob(String),
}

/// A checksum being computed.
pub enum Hasher {
    /// Towards [`Digest::Sha256`].
    Sha256(sha2::Sha256),
    /// Towards [`Digest::GitBlob`].
    GitBlob(sha1::Sha1),
    /// Nothing to compare with.
    None,
}

impl Hasher {
    /// A hasher towards `digest` of a file of `size` bytes.
    pub fn new(digest: Option<&Digest>, size: u64) -> Hasher {
        match digest {
            None => Hasher::None,
            Some(Digest::Sha256(_)) => Hasher::Sha256(sha2::Sha256::new()),
            Some(Digest::GitBlob(_)) => {
                Hasher::GitBlob(sha1::Sha1::new_with_prefix(format!("blob {size}\0")))
            }
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::GitBlob(hasher) => hasher.update(bytes),
            Hasher::None => {}
        }
    }

    /// What the bytes hash to; nothing if there was nothing to compare with.
    pub fn finish(self) -> Option<Digest> {
        match self {
            Hasher::Sha256(hasher) => Some(Digest::Sha256(hex(&hasher.finalize()))),
            Hasher::GitBlob(hasher) => Some(Digest::GitBlob(hex(&hasher.finalize()))),
            Hasher::None => None,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Digest::Sha256(hex) => write!(f, "SHA-256 {hex}"),
            Digest::GitBlob(hex) => write!(f, "git blob {hex}"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let digest = |wanted: Digest| {
            let mut hasher = Hasher::new(Some(&wanted), 6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), Some(wanted));
        };
        // `printf 'hello\n' | sha256sum`, `printf 'hello\n' | git hash-object --stdin`
        digest(Digest::Sha256(
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into(),
        ));
        digest(Digest::GitBlob(
            "ce013625030ba8dba906f756967f9e9ca394464a".into(),
        ));
    }
}
