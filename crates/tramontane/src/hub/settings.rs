//! What the environment says, by the conventions of the hub's Python library: which hub, whose token, which cache.

use super::HubError;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The hub that is meant when no other is set.
const HUB: &str = "https://huggingface.co";
/// How long a server may send nothing before the connection counts as dead.
const STALL: Duration = Duration::from_secs(10);

/// The environment, read once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the hub or its mirror, without a `/` at the end.
    pub endpoint: String,
    /// Who asks.
    pub token: Option<String>,
    /// Seconds without news before giving a connection up (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub stall: Duration,
    /// Whether the network is not to be used (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// Certificates to trust instead of the built-in ones (`SSL_CERT_FILE` and two other names for it).
    pub certificates: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment and the token file.
    ///
    /// Errors: an `HF_ENDPOINT` that is no address, a timeout that is no number, a token file that cannot be read.
    pub fn from_env() -> Result<Settings, HubError> {
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if super::url::Origin::of(&endpoint).is_none() || endpoint.contains(['?', '#']) {
            return Err(HubError::Setup {
                what: format!("HF_ENDPOINT is {endpoint:?}, which is no http(s) address"),
                advice: format!("Set it to a hub's address like {HUB}, or unset it"),
            });
        }
        let stall = match variable("HF_HUB_DOWNLOAD_TIMEOUT") {
            None => STALL,
            Some(text) => match text.parse::<u32>() {
                Ok(seconds @ 1..) => Duration::from_secs(seconds.into()),
                _ => {
                    return Err(HubError::Setup {
                        what: format!("HF_HUB_DOWNLOAD_TIMEOUT is {text:?}"),
                        advice: "Set it to a number of seconds, at least 1".to_owned(),
                    });
                }
            },
        };
        let certificates = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
        Ok(Settings {
            endpoint,
            token: token()?,
            stall,
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            certificates: certificates
                .into_iter()
                .find_map(variable)
                .map(PathBuf::from),
        })
    }
}

/// Where the cache is: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
///
/// Errors: no home.
pub fn cache_folder() -> Result<PathBuf, HubError> {
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
        if let Some(path) = variable(name) {
            return with_home(&path);
        }
    }
    Ok(hub_home()?.join("hub"))
}

fn hub_home() -> Result<PathBuf, HubError> {
    match variable("HF_HOME") {
        Some(path) => with_home(&path),
        None => Ok(user_cache()?.join("huggingface")),
    }
}

/// Where this user's programs keep what can be made again: `XDG_CACHE_HOME`, else `~/.cache`.
///
/// Errors: no home.
pub fn user_cache() -> Result<PathBuf, HubError> {
    match variable("XDG_CACHE_HOME") {
        Some(path) => with_home(&path),
        None => Ok(home()?.join(".cache")),
    }
}

fn token() -> Result<Option<String>, HubError> {
    let from_env = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
        .into_iter()
        .find_map(variable);
    if let Some(token) = from_env.as_deref().and_then(clean) {
        return checked(token, "HF_TOKEN");
    }
    // Without a home there is no token file, and none is needed.
    let path = match variable("HF_TOKEN_PATH") {
        Some(path) => with_home(&path),
        None => hub_home().map(|home| home.join("token")),
    };
    let Ok(path) = path else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => match clean(&text) {
            Some(token) => checked(token, &path.display().to_string()),
            None => Ok(None),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(HubError::disk("read the token in", &path, e)),
    }
}

fn clean(token: &str) -> Option<String> {
    let token: String = token
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n'))
        .collect();
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// A token goes into a header: anything else in it would be sent, or fail, without saying why.
fn checked(token: String, source: &str) -> Result<Option<String>, HubError> {
    if token.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(Some(token));
    }
    Err(HubError::Setup {
        what: format!("the token in {source} has characters that no token has"),
        advice: "Copy it again from https://huggingface.co/settings/tokens".to_owned(),
    })
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_on(name: &str) -> bool {
    variable(name)
        .is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.to_ascii_uppercase().as_str()))
}

fn with_home(path: &str) -> Result<PathBuf, HubError> {
    match path.strip_prefix('~') {
        Some("") => home(),
        Some(rest) if rest.starts_with('/') => Ok(home()?.join(rest.trim_start_matches('/'))),
        _ => std::path::absolute(path).map_err(|e| HubError::disk("find", Path::new(path), e)),
    }
}

fn home() -> Result<PathBuf, HubError> {
    env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .ok_or_else(|| HubError::Setup {
            what: "there is no home folder to keep models in".to_owned(),
            advice: "Set HF_HOME to a folder for them".to_owned(),
        })
}
