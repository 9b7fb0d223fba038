//! `POST /v1/chat/completions`, for OpenAI's clients and Mistral's.
//!
//! The story: the body becomes a job ([`ask`]), the job's news become chunks ([`stream`]) or their sum one body
//! ([`reply`]). Must not know: tokens, masks, pixels.

mod ask;
mod reply;
mod stream;

use super::body::JsonBody;
use super::effort;
use super::generation::{Generation, Listener};
use super::sse::{self, Events};
use crate::app::App;
use crate::error::{ApiError, Dialect, Refusal};
use crate::generate::{News, Whole};
use ask::Ask;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response};
use reply::Head;
use std::sync::Arc;
use std::time::Instant;

/// Answers a request.
///
/// # Errors
/// Whatever is wrong with it, in the client's dialect.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response<Body>, Refusal> {
    let arrived = Instant::now();
    let shared = Arc::clone(&app);
    let (ask, generation) =
        super::in_the_back(move || start(&shared, &headers, &body.0, arrived)).await?;
    let dialect = ask.dialect;
    let told_effort = HeaderValue::from_static(ask.effort);
    let seed = HeaderValue::from(generation.job().settings.seed());
    let mut response = match ask.streaming {
        Some(_) => sse::response(move |events| stream(Head::new(app, ask), generation, events)),
        None => whole(Head::new(app, ask), generation)
            .await
            .map_err(|error| Refusal { dialect, error })?,
    };
    let headers = response.headers_mut();
    headers.insert(effort::HEADER, told_effort);
    headers.insert(super::SEED_HEADER, seed);
    Ok(response)
}

/// Reads the body and hands the job to the engine.
fn start(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: &[u8],
    arrived: Instant,
) -> Result<(Ask, Generation), Refusal> {
    let by_headers = super::dialect::of_headers(headers);
    let refuse = |dialect| move |error: ApiError| Refusal { dialect, error };
    let object = super::fields::parse(body).map_err(refuse(by_headers.unwrap_or_default()))?;
    let dialect = by_headers.unwrap_or_else(|| super::dialect::of_body(&object));
    let start = || {
        let served = app.admit()?;
        let (ask, job) = ask::read(&object, dialect, app, served)?;
        Ok((ask, Generation::start(app, served, job, arrived)?))
    };
    start().map_err(refuse(dialect))
}

/// The replies as one body.
async fn whole(head: Head, generation: Generation) -> Result<Response<Body>, ApiError> {
    let mut sums = Sums::of(generation.job().num_choices);
    generation.run(&mut sums).await?;
    Ok(super::json_response(&reply::body(&head, &sums.0)?))
}

/// Adds up the news of each choice.
struct Sums(Vec<Whole>);

impl Sums {
    fn of(num_choices: u32) -> Self {
        Self((0..num_choices).map(|_| Whole::new()).collect())
    }
}

impl Listener for Sums {
    fn news(&mut self, choice: usize, news: News) {
        self.0[choice].add(news);
    }

    fn idle(&mut self) {}
}

/// The replies as chunks.
async fn stream(head: Head, generation: Generation, events: Events) {
    let dialect = head.ask.dialect;
    let mut chunks = stream::Chunks::new(head, generation.job().num_choices, events.clone());
    if let Err(error) = generation.run(&mut chunks).await {
        tracing::warn!(error = %error.message, "a stream broke off");
        match dialect {
            Dialect::OpenAi => events.data(&error.body(dialect)),
            Dialect::Mistral => chunks.fail(&error),
        }
    }
    events.done();
}
