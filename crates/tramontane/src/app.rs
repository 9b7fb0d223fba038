//! What all requests to the server share: the model once it is loaded, its names, the limits, the counters, and whether
//! the server is ending.

use crate::api::metrics::Metrics;
use crate::error::{ApiError, Kind};
use crate::sampling::Advice;
use crate::vision::Eyes;
use crate::words::Words;
use engine::Engine;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The server's state.
pub struct App {
    /// What it was started with.
    pub limits: Limits,
    /// Keys, one of which a client must send; none: all may come.
    pub keys: crate::api::auth::Keys,
    /// Counters.
    pub metrics: Metrics,
    /// Seconds since 1970 when it was started.
    pub created: u64,
    phase: watch::Sender<Phase>,
    served: OnceLock<Served>,
    ready: AtomicBool,
    num_jobs: AtomicUsize,
}

/// What clients may ask for at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Replies that may be computed or wait at once.
    pub max_replies: usize,
    /// How long a request may take.
    pub deadline: Option<Duration>,
    /// How long a client may take to send its request, or to take the next part of its reply.
    pub client_timeout: Duration,
    /// Whether images are fetched by address.
    pub allow_image_urls: bool,
}

/// A loaded model.
pub struct Served {
    /// The names it answers to; the first is its own.
    pub names: Vec<String>,
    /// Its engine.
    pub engine: Engine,
    /// Its text side.
    pub words: Words,
    /// Its vision tower, if it has one.
    pub eyes: Option<Eyes>,
    /// Sampling that its makers advise.
    pub advice: Advice,
}

/// Where in its life the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes requests.
    Serving,
    /// It takes no more; what runs may finish.
    Draining,
    /// What still runs ends now.
    Ending,
}

impl App {
    /// A server that has no model yet.
    pub fn new(limits: Limits, keys: crate::api::auth::Keys) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            limits,
            keys,
            metrics: Metrics::default(),
            created: since.as_secs(),
            phase: watch::Sender::new(Phase::Serving),
            served: OnceLock::new(),
            ready: AtomicBool::new(false),
            num_jobs: AtomicUsize::new(0),
        }
    }

    /// Puts the model in place.
    pub fn serve(&self, served: Served) -> &Served {
        self.served.get_or_init(|| served)
    }

    /// The model, if it is loaded.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] while it is not.
    pub fn served(&self) -> Result<&Served, ApiError> {
        self.served.get().ok_or_else(|| {
            ApiError::new(
                Kind::Unavailable,
                "the model is still being loaded; try again soon",
            )
            .retry_after(5)
        })
    }

    /// The model, if the server still takes requests.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it is ending, or the model is not loaded.
    pub fn admit(&self) -> Result<&Served, ApiError> {
        match self.is_ending() {
            false => self.served(),
            true => Err(ending().retry_after(5)),
        }
    }

    /// Whether a real token has been generated, and requests are taken.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_ending()
    }

    /// Whether no more requests are taken.
    pub fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    /// A real token has been generated.
    pub fn now_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// A job has been handed in.
    pub fn job_begins(&self) {
        self.num_jobs.fetch_add(1, Ordering::AcqRel);
    }

    /// It is over.
    pub fn job_ends(&self) {
        self.num_jobs.fetch_sub(1, Ordering::AcqRel);
    }

    /// Jobs that are being generated, or wait for it.
    pub fn num_jobs(&self) -> usize {
        self.num_jobs.load(Ordering::Acquire)
    }

    /// Goes on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Tells when the phase changes.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

/// What a request is told when the server ends.
pub fn ending() -> ApiError {
    ApiError::new(Kind::Unavailable, "the server is shutting down")
}

impl Served {
    /// The model that a request names; left out, its own.
    ///
    /// # Errors
    /// [`Kind::Model`] with the names there are.
    pub fn check_name<'a>(&'a self, asked: Option<&'a str>) -> Result<&'a str, ApiError> {
        match asked {
            None => Ok(self.own_name()),
            Some(name) if self.names.iter().any(|known| known == name) => Ok(name),
            Some(name) => {
                let names = self.names.join(", ");
                let shown: String = name.chars().take(100).collect();
                let message =
                    format!("The model `{shown}` does not exist. This server has: {names}");
                Err(ApiError::new(Kind::Model, message).about("model"))
            }
        }
    }

    /// The name that is its checkpoint's own.
    pub fn own_name(&self) -> &str {
        self.names.first().map_or("model", String::as_str)
    }
}
