//! Names that come from users and servers: each becomes a type only after it was checked, so that nothing behind this
//! file can be led outside the cache. It knows neither network nor disk.

use super::HubError;
use std::fmt;

/// Longest path of a file in a repository, in bytes.
const MOST_PATH_BYTES: usize = 1024;
/// Longest part of a path that common file systems take, in bytes.
const MOST_PART_BYTES: usize = 255;
/// Addresses people copy from a browser or another tool; what follows is the name.
const PREFIXES: [&str; 5] = [
    "https://huggingface.co/",
    "https://hf.co/",
    "huggingface.co/",
    "hf.co/",
    "hf://",
];
/// Endings of files: what has one and a single `/` is far more likely a path that was mistyped.
const FILE_ENDINGS: [&str; 4] = [".gguf", ".safetensors", ".json", ".bin"];

/// A checked text: made by `parse` only, read by `as_str`.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// `owner/repo`
    Repo
);
checked_text!(
    /// A branch, a tag, or a commit.
    Revision
);
checked_text!(
    /// A commit: 40 hexadecimal digits.
    Commit
);
checked_text!(
    /// A file's path inside a repository: relative, `/` between parts, no part that leads upwards.
    FilePath
);
checked_text!(
    /// What a hub calls one version of a file's content; also the name of its blob in the cache.
    Etag
);

/// What a user calls a model on a hub: `owner/repo[@revision][:variant]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The repository.
    pub repo: Repo,
    /// The revision, if one was named.
    pub revision: Option<Revision>,
    /// Which of its forms, if one was named.
    pub variant: Option<String>,
}

impl Name {
    /// Reads a name.
    ///
    /// Errors: anything that cannot name a repository.
    pub fn parse(text: &str) -> Result<Name, HubError> {
        let wrong = |why| HubError::Name {
            what: text.to_owned(),
            why,
        };
        let bare = PREFIXES
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let (address, variant) = match bare.split_once(':') {
            None => (bare, None),
            Some((address, variant)) => (address, Some(variant)),
        };
        let (repo, revision) = match address.split_once('@') {
            None => (address, None),
            Some((repo, revision)) => (repo, Some(Revision::parse(revision)?)),
        };
        let repo = Repo::checked(repo.trim_end_matches('/')).map_err(wrong)?;
        if let Some(variant) = variant
            && (variant.is_empty() || variant.len() > 255 || variant.contains(char::is_control))
        {
            return Err(wrong(
                "the variant after `:` is empty, too long or not printable",
            ));
        }
        Ok(Name {
            repo,
            revision,
            variant: variant.map(str::to_owned),
        })
    }

    /// Whether a text that names no file here is meant as a hub name.
    pub fn looks_like_one(text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        !FILE_ENDINGS.iter().any(|ending| lower.ends_with(ending)) && Name::parse(text).is_ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(variant) = &self.variant {
            write!(f, ":{variant}")?;
        }
        Ok(())
    }
}

impl Repo {
    /// The rules of the hub, as its Python library checks them, and an owner.
    fn checked(text: &str) -> Result<Repo, &'static str> {
        let Some((owner, repo)) = text.split_once('/') else {
            return Err("the owner is missing");
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.len() > 96 {
            return Err("longer than 96 characters");
        }
        for part in [owner, repo] {
            if part.is_empty() || !part.chars().all(allowed) {
                return Err("owner and repo are made of letters, digits, `-`, `_` and `.`");
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return Err("neither part may begin or end with `-` or `.`");
            }
        }
        if text.contains("--") || text.contains("..") {
            return Err("`--` and `..` may not be in it");
        }
        Ok(Repo(text.to_owned()))
    }

    /// The repository a folder of the cache belongs to, if it is one.
    pub fn from_folder(folder: &str) -> Option<Repo> {
        let (owner, repo) = folder.strip_prefix("models--")?.split_once("--")?;
        Repo::checked(&format!("{owner}/{repo}")).ok()
    }

    /// Its folder's name in the cache.
    pub fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }
}

impl Revision {
    /// The branch that is meant when none is named.
    pub fn main() -> Revision {
        Revision("main".to_owned())
    }

    /// Reads a revision, by git's rules for names that matter to a path.
    ///
    /// Errors: a text that is no revision.
    pub fn parse(text: &str) -> Result<Revision, HubError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
        let parts_are_plain = text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
        if text.len() > 255
            || !text.chars().all(allowed)
            || !parts_are_plain
            || text.contains("..")
            || text.starts_with('-')
        {
            return Err(HubError::Name {
                what: text.to_owned(),
                why: "a revision is a branch, a tag or a commit",
            });
        }
        Ok(Revision(text.to_owned()))
    }

    /// The commit, if this is one in full.
    pub fn commit(&self) -> Option<Commit> {
        Commit::parse(&self.0)
    }
}

impl Commit {
    /// Reads a commit.
    pub fn parse(text: &str) -> Option<Commit> {
        is_hex(text, 40).then(|| Commit(text.to_owned()))
    }
}

impl FilePath {
    /// Reads a path that a server sent.
    ///
    /// Errors: the rule it breaks.
    pub fn parse(text: &str) -> Result<FilePath, &'static str> {
        if text.is_empty() || text.len() > MOST_PATH_BYTES {
            return Err("a path has 1 to 1024 bytes");
        }
        if text.contains('\\') {
            return Err("it has a backslash");
        }
        if text.contains(char::is_control) {
            return Err("it has control characters");
        }
        if text.starts_with('/') || text.as_bytes().get(1) == Some(&b':') {
            return Err("it is absolute");
        }
        for part in text.split('/') {
            match part {
                "" => return Err("it has an empty part"),
                "." | ".." => return Err("it leads out of its folder"),
                _ if part.len() > MOST_PART_BYTES => return Err("a part is longer than 255 bytes"),
                _ => {}
            }
        }
        Ok(FilePath(text.to_owned()))
    }

    /// Folders above the file, inside the repository.
    pub fn depth(&self) -> usize {
        self.0.matches('/').count()
    }
}

impl Etag {
    /// Reads an `ETag` header, weak or strong, quoted or not.
    pub fn parse(header: &str) -> Option<Etag> {
        let bare = header.trim();
        let bare = bare.strip_prefix("W/").unwrap_or(bare).trim_matches('"');
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+=".contains(c);
        let plain = !bare.is_empty()
            && bare.len() <= 200
            && bare.chars().all(allowed)
            && !bare.starts_with(['.', '-'])
            && !bare.ends_with(".incomplete");
        plain.then(|| Etag(bare.to_owned()))
    }
}

/// Whether `text` is `digits` lowercase hexadecimal digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Text of a server, made fit for a terminal: one line, no control characters, not too long.
pub fn printable(text: &str) -> String {
    let line = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = line.clone().take(200).collect();
    if line.count() > 200 {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = Name::parse("mistralai/Mistral-Small-4@refs/pr/3:Q4_K_M").unwrap();
        assert_eq!(name.repo.as_str(), "mistralai/Mistral-Small-4");
        assert_eq!(name.revision.as_ref().unwrap().as_str(), "refs/pr/3");
        assert_eq!(name.variant.as_deref(), Some("Q4_K_M"));
        assert_eq!(
            name.to_string(),
            "mistralai/Mistral-Small-4@refs/pr/3:Q4_K_M"
        );
        for same in [
            "hf.co/a/b",
            "https://huggingface.co/a/b",
            "a/b/",
            "hf://a/b",
        ] {
            assert_eq!(Name::parse(same).unwrap().to_string(), "a/b");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "../b",
            "./b",
            "a/..",
            "a/b--c",
            "a/b c",
            "a/-b",
            "a/b:",
            "a/b@",
            "a/b@../x",
            "a/b@-x",
            "a/b@x/.git",
            "a/b@/x",
            "~/b",
            "a/b:\n",
            "a\\b/c",
            "a/b@x.lock",
        ] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        assert!(Name::looks_like_one("a/Mistral-v0.1"));
        assert!(!Name::looks_like_one("models/file.GGUF"));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "..\\x",
            "a\\b",
            "C:/x",
            "a\nb",
            "a\u{1b}[2J",
        ] {
            assert!(FilePath::parse(path).is_err(), "{path:?}");
        }
        assert!(FilePath::parse(&"a/".repeat(600)).is_err());
        assert!(FilePath::parse(&"a".repeat(256)).is_err());
        for path in [
            "config.json",
            "Q4_K_M/a-00001-of-00002.gguf",
            "naïve name.txt",
            "a..b",
            ".gitattributes",
        ] {
            assert_eq!(FilePath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn etags_become_plain_file_names() {
        assert_eq!(Etag::parse("\"abc\"").unwrap().as_str(), "abc");
        assert_eq!(Etag::parse("W/\"abc-2\"").unwrap().as_str(), "abc-2");
        for tag in [
            "",
            "\"\"",
            "../x",
            "a/b",
            "..",
            ".hidden",
            "a b",
            "x.incomplete",
            "a\\b",
        ] {
            assert!(Etag::parse(tag).is_none(), "{tag:?}");
        }
    }

    #[test]
    fn folders_name_repositories_both_ways() {
        let repo = Name::parse("owner/re.po-1").unwrap().repo;
        assert_eq!(repo.folder(), "models--owner--re.po-1");
        assert_eq!(Repo::from_folder(&repo.folder()), Some(repo));
        for folder in [
            "datasets--a--b",
            "models--gpt2",
            "models--..--x",
            "models--a--b--c",
        ] {
            assert_eq!(Repo::from_folder(folder), None, "{folder}");
        }
    }
}
