//! What a hub says is in a repository. Its answer is hostile until it was checked.

use super::client::{Answer, Ask, Client, Failure, passing};
use super::digest::Digest;
use super::forms::Listed;
use super::name::{Commit, FilePath, Repo, Revision, is_hex};
use super::report::Report;
use super::url::{escape, without_query};
use super::{HubError, printable};
use serde::Deserialize;

/// Most bytes a listing may have.
const MOST_LISTING_BYTES: u64 = 32 << 20;
/// Most files a repository may list.
const MOST_FILES: usize = 20_000;

/// A repository at one commit.
#[derive(Debug)]
pub struct Listing {
    /// The commit.
    pub commit: Commit,
    /// Its files.
    pub files: Vec<RemoteFile>,
}

/// A file in a repository.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    /// Its path.
    pub path: FilePath,
    /// Its size, if the hub told.
    pub size: Option<u64>,
    /// Its checksum, if the hub told.
    pub digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Listing {
    /// Asks a hub what is in a repository.
    ///
    /// Errors: not there, not allowed, not a hub, or a file whose path leads elsewhere.
    pub fn fetch(
        client: &Client,
        repo: &Repo,
        revision: &Revision,
        report: &dyn Report,
    ) -> Result<Listing, HubError> {
        let endpoint = client.endpoint();
        let url = format!(
            "{endpoint}/api/models/{repo}/revision/{}?blobs=true",
            escape(revision.as_str())
        );
        let what = format!("list the files of {repo}");
        let text = client.patiently(&what, report, || {
            let answer = client.send(Ask::get(&url))?;
            check(client, &answer, repo, &format!("revision {revision} of it"))?;
            read(answer)
        })?;
        let info: Info = serde_json::from_slice(&text).map_err(|e| HubError::NotAHub {
            url: without_query(&url).to_owned(),
            expected: "JSON with the fields sha and siblings",
            got: match text.trim_ascii_start().first() {
                Some(b'<') => "a web page".to_owned(),
                _ => format!("something else ({})", printable(&e.to_string())),
            },
        })?;
        Listing::checked(info, repo, &url)
    }

    fn checked(info: Info, repo: &Repo, url: &str) -> Result<Listing, HubError> {
        let not_a_hub = |expected, got| HubError::NotAHub {
            url: without_query(url).to_owned(),
            expected,
            got,
        };
        let commit = Commit::parse(&info.sha).ok_or_else(|| {
            not_a_hub(
                "a commit of 40 hexadecimal digits",
                format!("{:?}", printable(&info.sha)),
            )
        })?;
        if info.siblings.len() > MOST_FILES {
            return Err(not_a_hub(
                "at most 20000 files",
                format!("{} files", info.siblings.len()),
            ));
        }
        let file = |sibling: Sibling| {
            let path = FilePath::parse(&sibling.rfilename).map_err(|why| HubError::Hostile {
                repo: repo.to_string(),
                path: sibling.rfilename.chars().take(200).collect(),
                why,
            })?;
            Ok(RemoteFile {
                path,
                size: sibling
                    .lfs
                    .as_ref()
                    .and_then(|lfs| lfs.size)
                    .or(sibling.size),
                digest: digest(&sibling),
            })
        };
        let files = info
            .siblings
            .into_iter()
            .map(file)
            .collect::<Result<_, HubError>>()?;
        Ok(Listing { commit, files })
    }

    /// The files by name and size.
    pub fn names(&self) -> Vec<Listed> {
        let listed = |file: &RemoteFile| Listed {
            path: file.path.to_string(),
            size: file.size,
        };
        self.files.iter().map(listed).collect()
    }
}

/// SHA-256 of a large file, git's id of a small one; nothing of a mirror that does not tell.
fn digest(sibling: &Sibling) -> Option<Digest> {
    match &sibling.lfs {
        Some(lfs) => lfs
            .sha256
            .clone()
            .filter(|hex| is_hex(hex, 64))
            .map(Digest::Sha256),
        None => sibling
            .blob_id
            .clone()
            .filter(|hex| is_hex(hex, 40))
            .map(Digest::GitBlob),
    }
}

fn read(answer: Answer) -> Result<Vec<u8>, Failure> {
    let url = without_query(&answer.url).to_owned();
    answer.read(MOST_LISTING_BYTES).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Failure::Fatal(HubError::NotAHub {
            url,
            expected: "a listing of at most 32 MiB",
            got: "a longer one".to_owned(),
        }),
        _ => passing(format!("{url}: the connection was cut ({e})")),
    })
}

/// Whether a hub said yes. `what` is a part of the repository, for the message that it is not there.
///
/// Errors: what the status and the hub's own words in `X-Error-Code` mean to a user.
pub fn check(client: &Client, answer: &Answer, repo: &Repo, what: &str) -> Result<(), Failure> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    if let Some(failure) = answer.passing_trouble() {
        return Err(failure);
    }
    let endpoint = client.endpoint();
    let code = answer.header("x-error-code").unwrap_or("");
    let says = answer
        .header("x-error-message")
        .map_or(String::new(), |message| {
            format!(" (the hub says: {})", printable(message))
        });
    let log_in = "Set HF_TOKEN to a token of yours (https://huggingface.co/settings/tokens), or run `hf auth login`";
    let (problem, advice) = match (answer.status, code) {
        (401 | 403, "GatedRepo") | (403, _) if client.has_token() => (
            format!("the token may not read {repo}{says}"),
            format!(
                "Accept its conditions at {endpoint}/{repo}, and check that the token may read gated repositories"
            ),
        ),
        (401 | 403, "GatedRepo") => (
            format!(
                "{repo} is gated: its owner lets in only those who accepted its conditions{says}"
            ),
            format!(
                "Accept them at {endpoint}/{repo}. Then: {}{}",
                log_in[..1].to_lowercase(),
                &log_in[1..]
            ),
        ),
        (401 | 403, _) if client.has_token() => (
            format!("{endpoint} does not know {repo}, or does not accept the token{says}"),
            "Check the name, and that the token in HF_TOKEN or of `hf auth login` is still valid"
                .to_owned(),
        ),
        (401 | 403, _) => (
            format!("{endpoint} has no repository {repo} that everyone may read{says}"),
            format!(
                "Check the name. If it is private: {}{}",
                log_in[..1].to_lowercase(),
                &log_in[1..]
            ),
        ),
        (404, "RepoNotFound") => (
            format!("{endpoint} has no repository {repo}{says}"),
            "Check the name".to_owned(),
        ),
        (404, _) => (
            format!("{endpoint} has no {repo}, or no {what}{says}"),
            "Check the name and the revision".to_owned(),
        ),
        (status, _) => (
            format!("{} answered {status}{says}", without_query(&answer.url)),
            "If HF_ENDPOINT is set, check that it is a hub's address".to_owned(),
        ),
    };
    Err(Failure::Fatal(HubError::Refused {
        what: problem,
        advice,
    }))
}
