//! What can go wrong when a request is handed in. What goes wrong later is an [`crate::Event::Failed`].

/// An error of this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be started as configured.
    #[error("engine configuration: {0}")]
    Config(String),
    /// The request is not well formed: a client's mistake.
    #[error("{field}: {what}")]
    InvalidRequest {
        /// Which field of the request.
        field: &'static str,
        /// Expected and got.
        what: String,
    },
    /// The request is longer than the context: a client's mistake.
    #[error(
        "{prompt_tokens} prompt tokens and up to {max_tokens} generated ones exceed the context of {max_context} \
         tokens; shorten the prompt or lower max_tokens"
    )]
    ContextLength {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens that may be generated.
        max_tokens: usize,
        /// The limit on both together.
        max_context: usize,
    },
    /// The request could never fit the cache, even alone.
    #[error(
        "{prompt_tokens} prompt tokens and up to {max_tokens} generated ones need {needed_pages} pages of KV cache, \
         the pool has {num_pages}; shorten the request or give the cache more memory"
    )]
    CacheTooSmall {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens that may be generated.
        max_tokens: usize,
        /// Pages for both together.
        needed_pages: usize,
        /// Pages there are.
        num_pages: usize,
    },
    /// Too many requests are waiting: try again later.
    #[error("{max_requests} requests are running or waiting already; try again later")]
    QueueFull {
        /// The limit on running and waiting requests together.
        max_requests: usize,
    },
    /// The engine thread has ended.
    #[error("the engine has stopped; restart the program")]
    Stopped,
}
