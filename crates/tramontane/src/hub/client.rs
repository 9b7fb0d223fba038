//! Asking a hub: one request with its redirects, and patience with failures that pass. It knows nothing of files on disk.
//!
//! The token goes to the hub's own origin and nowhere else; redirects are followed by hand for that reason.

use super::report::{Event, Report};
use super::settings::Settings;
use super::url::{Origin, follow, without_query};
use super::{HubError, printable, tls};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// Redirects in a row that a sane server needs at most.
const MOST_REDIRECTS: usize = 8;
/// First pause after a failure; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause of our own choice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause a server may ask for before we hand the decision to the user.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Status codes of trouble that may pass.
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// A connection to a hub.
pub struct Client {
    agent: Agent,
    endpoint: String,
    origin: Option<Origin>,
    token: Option<String>,
    /// How long a server may send nothing.
    pub stall: Duration,
    /// How often something is tried again before it is given up.
    pub retries: u32,
    stop: Arc<AtomicBool>,
}

/// Ends whatever a client does, from another thread.
#[derive(Clone)]
pub struct Stop {
    stop: Arc<AtomicBool>,
    agent: Agent,
}

/// Why a request brought nothing.
pub enum Failure {
    /// It will not get better.
    Fatal(HubError),
    /// It may get better, perhaps after a while that the server names.
    Passing {
        /// What happened.
        why: String,
        /// How long the server asks to wait.
        wait: Option<Duration>,
    },
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Failure {
        Failure::Fatal(error)
    }
}

/// A failure that may pass.
pub fn passing(why: impl Into<String>) -> Failure {
    Failure::Passing {
        why: why.into(),
        wait: None,
    }
}

/// What a server answered.
pub struct Answer {
    /// Who answered in the end.
    pub url: String,
    /// Status code.
    pub status: u16,
    /// Headers of the hub's own answers on the way, the last word counting.
    pub hub: HeaderMap,
    /// Headers of the last answer.
    pub headers: HeaderMap,
    /// Whether the last answer is the hub's own.
    pub is_hub: bool,
    body: Body,
}

/// A request.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Whether only headers are wanted.
    pub head_only: bool,
    /// Where.
    pub url: &'a str,
    /// `Range`, sent to everyone on the way.
    pub range: Option<&'a str>,
    /// `If-Range` for the hub itself, and for those it sends us to.
    pub if_range: [Option<&'a str>; 2],
    /// Whether to stop at the door when the hub sends us elsewhere.
    pub stays: bool,
}

impl<'a> Ask<'a> {
    /// A plain request for the content.
    pub fn get(url: &'a str) -> Ask<'a> {
        Ask {
            head_only: false,
            url,
            range: None,
            if_range: [None, None],
            stays: false,
        }
    }
}

impl Stop {
    /// Ends it: sleeps end, connections close.
    pub fn now(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.agent.clone().shutdown();
    }
}

impl Client {
    /// A client by these settings.
    ///
    /// Errors: the network is not to be used, or the certificates cannot be read.
    pub fn new(settings: &Settings, retries: u32) -> Result<Client, HubError> {
        if settings.offline {
            return Err(HubError::Setup {
                what: "HF_HUB_OFFLINE is set, and pulling needs the network".to_owned(),
                advice: "Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE".to_owned(),
            });
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(settings.stall))
            .timeout_connect(Some(settings.stall))
            .timeout_send_request(Some(settings.stall))
            .timeout_recv_response(Some(settings.stall * 3))
            .timeout_per_read(Some(settings.stall))
            .user_agent(concat!("tramontane/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls::config(settings.certificates.as_deref())?)
            .build();
        Ok(Client {
            agent: config.into(),
            endpoint: settings.endpoint.clone(),
            origin: Origin::of(&settings.endpoint),
            token: settings.token.clone(),
            stall: settings.stall,
            retries,
            stop: Arc::default(),
        })
    }

    /// The hub's address, without a `/` at the end.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// What ends this client's work.
    pub fn stop(&self) -> Stop {
        Stop {
            stop: self.stop.clone(),
            agent: self.agent.clone(),
        }
    }

    /// Errors if the work was ended.
    pub fn check_stop(&self) -> Result<(), HubError> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(HubError::Interrupted);
        }
        Ok(())
    }

    /// Sends a request and follows where it leads. Any status but a redirect is an answer.
    pub fn send(&self, ask: Ask) -> Result<Answer, Failure> {
        let mut url = ask.url.to_owned();
        let mut seen: Vec<String> = Vec::new();
        let mut hub = HeaderMap::new();
        loop {
            self.check_stop()?;
            let is_hub = Origin::of(&url) == self.origin;
            let response = self.once(&ask, &url, is_hub)?;
            if is_hub {
                for (name, value) in response.headers() {
                    hub.insert(name.clone(), value.clone());
                }
            }
            let status = response.status().as_u16();
            let target = is_redirect(status)
                .then(|| {
                    response
                        .headers()
                        .get("location")?
                        .to_str()
                        .ok()
                        .map(str::to_owned)
                })
                .flatten();
            let next = match target {
                Some(location) => self.next(&url, &location, &mut seen)?,
                None => None,
            };
            let leaves = next
                .as_ref()
                .is_some_and(|next| Origin::of(next) != self.origin);
            match next {
                Some(next) if !(ask.stays && leaves) => {
                    seen.push(url);
                    url = next;
                }
                _ => {
                    let (parts, body) = response.into_parts();
                    return Ok(Answer {
                        url,
                        status,
                        hub,
                        headers: parts.headers,
                        is_hub,
                        body,
                    });
                }
            }
        }
    }

    fn once(&self, ask: &Ask, url: &str, is_hub: bool) -> Result<Response<Body>, Failure> {
        if url.starts_with("https:")
            && let Some(instruction) = tls::missing_instruction()
        {
            return Err(Failure::Fatal(HubError::Setup {
                what: format!("this processor lacks {instruction}, which encryption needs here"),
                advice: "Fetch it with the hub's own tool (`hf download`): the cache is the same"
                    .to_owned(),
            }));
        }
        let mut request = match ask.head_only {
            true => self.agent.head(url),
            false => self.agent.get(url),
        };
        // Sizes and ranges are those of the file, not of a compressed copy.
        request = request.header("accept-encoding", "identity");
        if let Some(range) = ask.range {
            request = request.header("range", range);
            if let Some(etag) = ask.if_range[usize::from(!is_hub)] {
                request = request.header("if-range", etag);
            }
        }
        if is_hub && let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|e| self.trouble(url, &e))
    }

    /// Where a redirect leads. Errors: nowhere, round in circles, or off the encrypted path.
    fn next(
        &self,
        url: &str,
        location: &str,
        seen: &mut [String],
    ) -> Result<Option<String>, Failure> {
        let lost = |got: String| HubError::NotAHub {
            url: without_query(url).to_owned(),
            expected: "a redirect that leads to a file",
            got,
        };
        let Some(next) = follow(url, location) else {
            return Err(lost(format!("one to {:?}", printable(location))).into());
        };
        if seen.len() >= MOST_REDIRECTS || seen.contains(&next) || next == url {
            return Err(lost(format!("redirects without end ({} so far)", seen.len() + 1)).into());
        }
        if url.starts_with("https:") && !next.starts_with("https:") {
            return Err(lost("one to an address without encryption".to_owned()).into());
        }
        Ok(Some(next))
    }

    /// What a failed connection means.
    fn trouble(&self, url: &str, error: &ureq::Error) -> Failure {
        if let Err(stopped) = self.check_stop() {
            return stopped.into();
        }
        let at = Origin::of(url).map_or(String::new(), |o| format!("{}:{}: ", o.host, o.port));
        let text = error.to_string();
        if text.contains("certificate") {
            return Failure::Fatal(HubError::Setup {
                what: format!("{at}{text}"),
                advice: "If what stands in between is to be trusted, name its certificates in SSL_CERT_FILE".to_owned(),
            });
        }
        passing(match error {
            ureq::Error::Timeout(_) => format!("{at}no answer within {} s", self.stall.as_secs()),
            ureq::Error::HostNotFound => format!("{at}no such host, or no network"),
            _ => format!("{at}{text}"),
        })
    }

    /// Tries until it works, fails for good, or the patience is spent. `what` completes "cannot ...".
    pub fn patiently<T>(
        &self,
        what: &str,
        report: &dyn Report,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => self.after(failure, what, &mut failures, report)?,
            }
        }
    }

    /// After a failure: waits, if it may pass and the patience lasts.
    pub fn after(
        &self,
        failure: Failure,
        what: &str,
        failures: &mut u32,
        report: &dyn Report,
    ) -> Result<(), HubError> {
        let (why, wait) = match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::Passing { why, wait } => (why, wait),
        };
        self.check_stop()?;
        *failures += 1;
        if *failures > self.retries {
            return Err(HubError::GaveUp {
                what: format!("cannot {what}"),
                why,
                attempts: *failures,
            });
        }
        if let Some(wait) = wait.filter(|wait| *wait > LONGEST_WAIT) {
            return Err(HubError::Refused {
                what: format!("cannot {what}: {why}"),
                advice: format!(
                    "The server asks to wait {} s; run the same command again after that",
                    wait.as_secs()
                ),
            });
        }
        let pause = wait.unwrap_or_else(|| pause(*failures));
        report.tell(&Event::Retry {
            what,
            why: &why,
            wait_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            attempt: *failures,
            of: self.retries,
        });
        self.sleep(pause)
    }

    /// Sleeps, unless the work is ended.
    pub fn sleep(&self, pause: Duration) -> Result<(), HubError> {
        let end = Instant::now() + pause;
        loop {
            self.check_stop()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(Duration::from_millis(50)));
        }
    }
}

impl Answer {
    /// A header of the hub's own answers, as text.
    pub fn hub_header(&self, name: &str) -> Option<&str> {
        self.hub.get(name)?.to_str().ok()
    }

    /// A header of the last answer, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it is a page for people, which no model file is.
    pub fn is_web_page(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    }

    /// Trouble that may pass, with the server's wish how long to wait.
    pub fn passing_trouble(&self) -> Option<Failure> {
        PASSING.contains(&self.status).then(|| Failure::Passing {
            why: format!("{} answered {}", without_query(&self.url), self.status),
            wait: self.wished_wait(),
        })
    }

    /// `Retry-After` in seconds or as a date, or the reset time in `RateLimit`, as the hub sends it.
    fn wished_wait(&self) -> Option<Duration> {
        let seconds = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .map(|s| Duration::from_secs(s.into()))
        };
        if let Some(text) = self.header("retry-after") {
            return seconds(text).or_else(|| super::date::until(text));
        }
        let reset = |field: &str| field.trim().strip_prefix("t=").and_then(seconds);
        (self.status == 429).then(|| self.header("ratelimit")?.split(';').find_map(reset))?
    }

    /// The body as it comes.
    pub fn reader(self) -> impl Read {
        self.body.into_reader()
    }

    /// A body of at most `most` bytes.
    ///
    /// Errors: it is longer (`InvalidData`), or the connection fails.
    pub fn read(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("more than {most} bytes"),
            ));
        }
        Ok(bytes)
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Doubling pauses, each up to a quarter longer so that many clients do not come back at once.
fn pause(failures: u32) -> Duration {
    let plain = FIRST_PAUSE
        .saturating_mul(1 << (failures - 1).min(16))
        .min(LONGEST_PAUSE);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    plain + plain.mul_f64(f64::from(nanos % 1000) / 4000.0)
}
