//! What a hub says about one file before it is fetched: the name, size and checksum of its content.

use super::HubError;
use super::client::{Answer, Ask};
use super::digest::Digest;
use super::fetch::Fetch;
use super::listing::check;
use super::name::{Etag, is_hex, printable};
use super::url::without_query;

/// What the hub says about a file before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its content's name.
    pub etag: Etag,
    /// Its size.
    pub size: u64,
    /// Its checksum.
    pub digest: Option<Digest>,
    /// Whether the hub links to the content elsewhere, and `etag` is its name there.
    pub linked: bool,
    /// The hub's own strong `ETag`, where it serves the file itself.
    pub strong_etag: Option<String>,
}

impl Fetch<'_> {
    /// Asks for the file's headers.
    ///
    /// Errors: it is not there, or not as listed.
    pub fn facts(&self) -> Result<Facts, HubError> {
        let what = format!("ask for {}", self.file.path);
        self.client.patiently(&what, self.report, || {
            let url = self.url();
            let ask = Ask {
                head_only: true,
                stays: true,
                ..Ask::get(&url)
            };
            let mut answer = self.client.send(ask)?;
            if header_etag(&answer).is_none() && (300..400).contains(&answer.status) {
                // A mirror that sends everything elsewhere: the answer is there.
                answer = self.client.send(Ask {
                    stays: false,
                    ..ask
                })?;
            }
            if !(300..400).contains(&answer.status) {
                check(
                    self.client,
                    &answer,
                    self.repo,
                    &format!("file {} in it", self.file.path),
                )?;
            }
            Ok(self.facts_in(&answer)?)
        })
    }

    fn facts_in(&self, answer: &Answer) -> Result<Facts, HubError> {
        let not_a_hub = |expected, got: &str| HubError::NotAHub {
            url: without_query(&answer.url).to_owned(),
            expected,
            got: got.to_owned(),
        };
        if answer.is_web_page() && answer.status == 200 {
            return Err(not_a_hub("a file", "a web page"));
        }
        if let Some(commit) = answer
            .hub_header("x-repo-commit")
            .filter(|c| *c != self.commit.as_str())
        {
            let got = printable(commit);
            return Err(not_a_hub(
                "a file of the commit asked for",
                &format!("one of {got:?}"),
            ));
        }
        let etag = header_etag(answer)
            .and_then(Etag::parse)
            .ok_or_else(|| not_a_hub("an ETag that can name a file", "none"))?;
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let own_size = (answer.status == 200)
            .then(|| number(answer.header("content-length")))
            .flatten();
        let size = number(answer.hub_header("x-linked-size"))
            .or(own_size)
            .or(self.file.size);
        let size = size.ok_or_else(|| not_a_hub("the size of a file", "none"))?;
        if let Some(listed) = self.file.size.filter(|listed| *listed != size) {
            return Err(HubError::Mismatch {
                file: self.file.path.to_string(),
                expected: format!("{listed} bytes, as the repository lists"),
                got: format!("{size} bytes, as the server says"),
            });
        }
        // A large file's ETag is its SHA-256: it serves where the listing has no checksum.
        let linked = answer.hub_header("x-linked-etag").is_some();
        let sha256 =
            (linked && is_hex(etag.as_str(), 64)).then(|| Digest::Sha256(etag.to_string()));
        let digest = self.file.digest.clone().or(sha256);
        let strong = answer
            .header("etag")
            .filter(|tag| answer.is_hub && answer.status == 200 && tag.starts_with('"'));
        Ok(Facts {
            etag,
            size,
            digest,
            linked,
            strong_etag: strong.map(str::to_owned),
        })
    }
}

/// What the hub calls the content: of what it links to, else of what it serves. Where a mirror says nothing itself, the
/// word of the place it sends us to counts.
fn header_etag(answer: &Answer) -> Option<&str> {
    const NAMES: [&str; 2] = ["x-linked-etag", "etag"];
    let own = NAMES.into_iter().find_map(|name| answer.hub_header(name));
    own.or_else(|| NAMES.into_iter().find_map(|name| answer.header(name)))
}
