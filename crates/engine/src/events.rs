//! What the engine tells about a request, and the ways it can be listened to.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Log-probabilities at one position. They are of the model's own distribution: softmax of the logits, before bias,
/// penalties, constraint, temperature or any filter. Natural logarithms, computed in f64.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLogprobs {
    /// That of the token that stands there.
    pub logprob: f64,
    /// The most likely tokens and theirs, most likely first, equal ones by id; as many as were asked for.
    pub top: Vec<(u32, f64)>,
}

/// Log-probabilities of a prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptLogprobs {
    /// One for each token of the prompt; none for the first, which nothing precedes.
    pub tokens: Vec<Option<TokenLogprobs>>,
    /// The most likely tokens to follow the prompt.
    pub next_top: Vec<(u32, f64)>,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// Its last token is a stop token.
    Stop,
    /// It has as many tokens as were asked for or as the context can hold (also when none were asked for).
    Length,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them whose cache rows were found, not computed.
    pub cached_tokens: usize,
    /// Tokens generated, a stop token included.
    pub generated_tokens: usize,
}

/// One piece of news about a request. The last one is `Finished` or `Failed`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The request has left the queue: its prompt is being computed. Comes first, once.
    Started {
        /// Tokens of the prompt whose cache rows were found, not computed.
        cached_tokens: usize,
    },
    /// The prompt's log-probabilities, if they were asked for; comes before any token.
    PromptLogprobs(PromptLogprobs),
    /// The next token. A stop token is told too.
    Token {
        /// Its id.
        id: u32,
        /// Its log-probability and others', if they were asked for.
        logprobs: Option<TokenLogprobs>,
    },
    /// The request is done.
    Finished {
        /// Why.
        reason: FinishReason,
        /// At what cost.
        usage: Usage,
        /// The seed of its random draws, given or not.
        seed: u64,
    },
    /// The request could not be done.
    Failed(String),
}

impl Event {
    /// Whether it is the last one of its request.
    pub fn is_last(&self) -> bool {
        matches!(self, Event::Finished { .. } | Event::Failed(_))
    }
}

/// Where a request's events go. Both are called on the engine thread and must not block it.
pub trait EventSink: Send {
    /// Takes an event. There may be nobody who hears it any more.
    fn send(&mut self, event: Event);

    /// Whether nobody listens any more: the request is then given up.
    fn is_closed(&self) -> bool;
}

/// The events of one request. Dropping it cancels the request within one step.
#[derive(Debug)]
pub struct EventStream {
    receiver: Receiver<Event>,
    /// The sink sees by this that the stream is gone.
    _listening: Arc<()>,
}

impl EventStream {
    /// Waits for the next event; none after the last one.
    pub fn recv(&self) -> Option<Event> {
        self.receiver.recv().ok()
    }

    /// Waits for the next event, at most so long.
    ///
    /// Errors: `Timeout`, or `Disconnected` after the last event.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }
}

impl Iterator for EventStream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv()
    }
}

/// The other end of an [`EventStream`].
struct ChannelSink {
    sender: Sender<Event>,
    listening: Weak<()>,
}

impl EventSink for ChannelSink {
    fn send(&mut self, event: Event) {
        // A send fails when the stream was dropped, which `is_closed` reports before the next step.
        let _ = self.sender.send(event);
    }

    fn is_closed(&self) -> bool {
        self.listening.strong_count() == 0
    }
}

/// A stream and the sink that feeds it.
pub(crate) fn event_channel() -> (Box<dyn EventSink>, EventStream) {
    let (sender, receiver) = channel();
    let listening = Arc::new(());
    let sink = ChannelSink {
        sender,
        listening: Arc::downgrade(&listening),
    };
    let stream = EventStream {
        receiver,
        _listening: listening,
    };
    (Box::new(sink), stream)
}
