//! `GET /` and `GET /page/{version}/{file}`: the chat page, whose files are part of the program.
//!
//! The files' addresses hold a hash of them all, so that browsers keep them for good and never mix two versions. Must not
//! know: what the page does.

use crate::error::{ApiError, Kind, Refusal};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file of the page: its name, its media type, and what is in it.
struct Asset(&'static str, &'static str, &'static [u8]);

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const WOFF2: &str = "font/woff2";

macro_rules! assets {
    ($($kind:ident $name:literal,)*) => {
        &[$(Asset($name, $kind, include_bytes!(concat!("../../page/", $name)))),*]
    };
}

/// Every file but `index.html`.
const ASSETS: &[Asset] = assets![
    JAVASCRIPT "api.js",
    JAVASCRIPT "app.js",
    JAVASCRIPT "dom.js",
    JAVASCRIPT "exchange.js",
    SVG "icon.svg",
    JAVASCRIPT "images.js",
    JAVASCRIPT "markdown/clean.js",
    JAVASCRIPT "markdown/maths.js",
    JAVASCRIPT "markdown/parse.js",
    JAVASCRIPT "markdown/prose.js",
    JAVASCRIPT "markdown/worker.js",
    JAVASCRIPT "preferences.js",
    JAVASCRIPT "reply.js",
    JAVASCRIPT "request.js",
    JAVASCRIPT "run.js",
    JAVASCRIPT "sse.js",
    JAVASCRIPT "store.js",
    CSS "style/base.css",
    CSS "style/dialogs.css",
    CSS "style/layout.css",
    CSS "style/messages.css",
    CSS "style/prose.css",
    JAVASCRIPT "theme-early.js",
    JAVASCRIPT "tree.js",
    JAVASCRIPT "vendor/dompurify/purify.es.mjs",
    JAVASCRIPT "vendor/marked/marked.esm.js",
    CSS "vendor/temml/Temml-Local.css",
    WOFF2 "vendor/temml/Temml.woff2",
    JAVASCRIPT "vendor/temml/temml.min.js",
    JAVASCRIPT "views/calls.js",
    JAVASCRIPT "views/composer.js",
    JAVASCRIPT "views/conversation.js",
    JAVASCRIPT "views/editor.js",
    JAVASCRIPT "views/key.js",
    JAVASCRIPT "views/message.js",
    JAVASCRIPT "views/settings.js",
    JAVASCRIPT "views/sidebar.js",
    JAVASCRIPT "views/thinking.js",
];

const INDEX: &str = include_str!("../../page/index.html");
/// What stands in `index.html` for the hash.
const VERSION_MARK: &str = "@version@";

/// Only this server's own files, no inline script or style, nothing from elsewhere; and by trusted types, HTML from text
/// only where the sanitiser makes it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types tramontane dompurify";

/// What every answer here says besides its media type.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

const ASK_AGAIN: &str = "no-cache";
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// The page as it is served, and the hash of all its files, in hexadecimal.
struct Page {
    version: String,
    index: String,
    tag: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    hash.update(INDEX);
    for Asset(name, _, bytes) in ASSETS {
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    let version: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Page {
        index: INDEX.replace(VERSION_MARK, &version),
        tag: HeaderValue::try_from(format!("\"{version}\""))
            .unwrap_or(HeaderValue::from_static("")),
        version,
    }
});

/// The page itself; browsers ask each time whether it is still the same.
pub async fn index(headers: HeaderMap) -> Response<Body> {
    let is_same = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.contains(&PAGE.version));
    let body = match is_same {
        true => Body::empty(),
        false => Body::from(PAGE.index.as_str()),
    };
    let mut response = answer(body, "text/html; charset=utf-8", ASK_AGAIN);
    if is_same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
        .headers_mut()
        .insert(header::ETAG, PAGE.tag.clone());
    response
}

/// A file of the page. One that a page of another version asks for is given too, but not to keep.
///
/// # Errors
/// [`Kind::Path`] where the page has no such file.
pub async fn asset(headers: HeaderMap, uri: Uri) -> Result<Response<Body>, Refusal> {
    // As it stands in the address: no file's name needs escapes, and what is no text is no file.
    let place = uri.path().trim_start_matches("/page/");
    let (version, file) = place.split_once('/').unwrap_or_default();
    let Some(Asset(_, kind, bytes)) = ASSETS.iter().find(|Asset(name, ..)| *name == file) else {
        let message = "the chat page has no such file";
        return Err(super::refusal(&headers, ApiError::new(Kind::Path, message)));
    };
    let keep = match version == PAGE.version {
        true => FOR_GOOD,
        false => ASK_AGAIN,
    };
    Ok(answer(Body::from(*bytes), kind, keep))
}

fn answer(body: Body, kind: &'static str, keep: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path as File;

    fn files(folder: &File, inside: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{inside}{}", path.file_name().unwrap().to_str().unwrap());
            match path.is_dir() {
                true => files(&path, &format!("{name}/"), found),
                false => _ = found.insert(name),
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut there = BTreeSet::new();
        let folder = File::new(env!("CARGO_MANIFEST_DIR")).join("page");
        files(&folder, "", &mut there);
        let is_served = |name: &String| {
            !name.ends_with("LICENSE") && !["README.md", "index.html"].contains(&name.as_str())
        };
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.0.to_owned()).collect();
        assert_eq!(
            there.into_iter().filter(is_served).collect::<BTreeSet<_>>(),
            served
        );
    }

    #[test]
    fn the_page_names_files_that_are_there_and_has_no_script_of_its_own() {
        let names: Vec<&str> = PAGE
            .index
            .split('"')
            .filter_map(|part| part.strip_prefix(&format!("page/{}/", PAGE.version)))
            .collect();
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            assert!(ASSETS.iter().any(|asset| asset.0 == name), "{name}");
        }
        assert!(!PAGE.index.contains(VERSION_MARK));
        for script in PAGE.index.split("<script").skip(1) {
            assert!(script.contains("src=\"page/") && script.contains("\"></script>"));
        }
        for inline in ["<style", "style=", "onclick", "://"] {
            assert!(!PAGE.index.contains(inline), "{inline}");
        }
    }

    #[tokio::test]
    async fn files_are_kept_by_their_hash_and_the_page_is_asked_for_again() {
        let first = index(HeaderMap::new()).await;
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-cache");
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(index(known).await.status(), 304);

        let get = |version: &str, file: &str| {
            let place = format!("/page/{version}/{file}");
            asset(HeaderMap::new(), place.parse().unwrap())
        };
        let current = get(&PAGE.version, "app.js").await.unwrap();
        assert_eq!(current.headers()[header::CACHE_CONTROL], FOR_GOOD);
        assert_eq!(current.headers()[header::CONTENT_TYPE], JAVASCRIPT);
        assert_eq!(current.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(current.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let older = get("0123", "app.js").await.unwrap();
        assert_eq!(older.headers()[header::CACHE_CONTROL], "no-cache");
        for missing in ["", "../Cargo.toml", "README.md", "index.html", "%FF"] {
            assert!(get(&PAGE.version, missing).await.is_err(), "{missing}");
        }
    }
}
