//! API keys: who may use the model.
//!
//! Keys are compared in constant time, all of them each time, so that how long it takes says nothing about them. Must
//! not know: what the key opens.

use crate::error::{ApiError, Kind};
use axum::http::{HeaderMap, header};
use subtle::{Choice, ConstantTimeEq};

/// The longest key, in bytes.
const MAX_BYTES: usize = 512;

/// The keys that open the server; with none it is open to all.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Padded>);

/// A key, filled up with zeros: comparing two takes the same time whatever their lengths.
#[derive(Clone)]
struct Padded {
    bytes: [u8; MAX_BYTES],
    length: u64,
}

impl std::fmt::Debug for Padded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(a key)")
    }
}

impl Padded {
    fn new(key: &str) -> Option<Self> {
        let mut bytes = [0; MAX_BYTES];
        bytes.get_mut(..key.len())?.copy_from_slice(key.as_bytes());
        let length = key.len() as u64;
        Some(Self { bytes, length })
    }

    fn equals(&self, other: &Self) -> Choice {
        self.bytes.ct_eq(&other.bytes) & self.length.ct_eq(&other.length)
    }
}

impl Keys {
    /// These keys.
    ///
    /// # Errors
    /// Says which key is empty, too long, or holds what a header cannot.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let padded = keys.into_iter().enumerate().map(|(index, key)| {
            let is_sendable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
            let padded = Padded::new(key).filter(|_| is_sendable);
            padded.ok_or_else(|| {
                format!("API key {}: expected 1 to {MAX_BYTES} printable ASCII characters without spaces", index + 1)
            })
        });
        padded.collect::<Result<_, _>>().map(Self)
    }

    /// Lets a request in that has one of the keys, as `Authorization: Bearer KEY`.
    ///
    /// # Errors
    /// [`Kind::Key`].
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let refused = |what| Err(ApiError::new(Kind::Key, what));
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return refused("no API key: send one as `Authorization: Bearer KEY`");
        };
        let bearer = given.to_str().ok().and_then(|text| text.split_once(' '));
        let given = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some(given) = given.and_then(|(_, key)| Padded::new(key.trim())) else {
            return refused(
                "the Authorization header holds no API key: send it as `Authorization: Bearer KEY`",
            );
        };
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |found, key| found | key.equals(&given));
        match bool::from(known) {
            true => Ok(()),
            false => refused("the API key is not one of this server's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn opens(keys: &Keys, header: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        }
        keys.check(&headers).is_ok()
    }

    #[test]
    fn only_a_whole_key_opens() {
        let keys = Keys::new(["abc", "defg"]).unwrap();
        for (header, expected) in [
            (Some("Bearer abc"), true),
            (Some("bearer  defg "), true),
            (Some("Bearer ab"), false),
            (Some("Bearer abcd"), false),
            (Some("Bearer "), false),
            (Some("Basic abc"), false),
            (Some("abc"), false),
            (None, false),
        ] {
            assert_eq!(opens(&keys, header), expected, "{header:?}");
        }
        let long = format!("Bearer {}", "a".repeat(2000));
        assert!(!opens(&keys, Some(&long)));
        assert!(opens(&Keys::default(), None));
        assert!(Keys::new([""]).is_err());
        assert!(Keys::new(["a b"]).is_err());
        assert_eq!(format!("{keys:?}"), "Keys([(a key), (a key)])");
    }
}
