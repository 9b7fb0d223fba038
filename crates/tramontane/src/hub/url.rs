//! Addresses: joining, following and comparing them. It sends nothing.

use std::fmt::Write;
use ureq::http::Uri;

/// Who is spoken to: a secret meant for one origin goes to no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`
    pub scheme: String,
    /// In lower case.
    pub host: String,
    /// The scheme's own where none is given.
    pub port: u16,
}

impl Origin {
    /// The origin of an address; none if it is no http(s) address.
    pub fn of(url: &str) -> Option<Origin> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        Some(Origin {
            scheme,
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(default),
        })
    }
}

/// Where a `Location` leads, seen from `from`; none if it is no http(s) address.
pub fn follow(from: &str, location: &str) -> Option<String> {
    let origin = Origin::of(from)?;
    let start = from.find("://")? + 3;
    let path = from[start..]
        .find(['/', '?', '#'])
        .map_or(from.len(), |at| start + at);
    let location = location.split('#').next()?;
    let target = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{}://{rest}", origin.scheme)
    } else if location.starts_with('/') {
        format!("{}{location}", &from[..path])
    } else {
        let folder = from.split(['?', '#']).next()?;
        match folder[start..].rfind('/') {
            Some(at) => format!("{}{location}", &folder[..=start + at]),
            None => format!("{folder}/{location}"),
        }
    };
    Origin::of(&target).map(|_| target)
}

/// Text as one part of a path: everything but letters, digits, `-`, `.`, `_` and `~` escaped.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A path whose `/` stay.
pub fn escape_path(path: &str) -> String {
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

/// An address for a message: without its query, where signed links keep their secrets.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_followed() {
        let from = "https://hub.example/a/b?x=1";
        for (location, expected) in [
            (
                "https://cdn.example/z?sig=1",
                Some("https://cdn.example/z?sig=1"),
            ),
            ("//cdn.example/z", Some("https://cdn.example/z")),
            ("/api/z#part", Some("https://hub.example/api/z")),
            ("z", Some("https://hub.example/a/z")),
            ("file:///etc/passwd", None),
            ("ftp://x/y", None),
            ("https:///z", None),
        ] {
            assert_eq!(follow(from, location).as_deref(), expected, "{location}");
        }
        assert_eq!(follow("http://h", "z").as_deref(), Some("http://h/z"));
        assert_eq!(follow("http://h?q", "/z").as_deref(), Some("http://h/z"));
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = |url| Origin::of(url).unwrap();
        assert_eq!(
            origin("https://Hub.example/x"),
            origin("https://hub.example:443/y")
        );
        for other in [
            "http://hub.example",
            "https://hub.example:444",
            "https://hub.example.evil",
        ] {
            assert_ne!(origin("https://hub.example"), origin(other), "{other}");
        }
        assert_ne!(
            origin("https://hub.example@evil.example/"),
            origin("https://hub.example/")
        );
    }

    #[test]
    fn odd_names_are_escaped() {
        assert_eq!(escape_path("a b/ü?#%.gguf"), "a%20b/%C3%BC%3F%23%25.gguf");
        assert_eq!(escape("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
