//! `POST /v1/completions`: texts continued as they stand.
//!
//! Must not know: messages, tools, thoughts.

mod ask;
mod reply;

use super::body::JsonBody;
use super::generation::{Generation, Listener};
use super::sse::{self, Events};
use super::usage::{self, Spent};
use crate::app::App;
use crate::error::{ApiError, Dialect, Refusal};
use crate::generate::{End, News};
use ask::Ask;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response};
use reply::{Head, Piece, Told};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// Answers a request.
///
/// # Errors
/// Whatever is wrong with it.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response<Body>, Refusal> {
    let arrived = Instant::now();
    let dialect = super::dialect::of_headers(&headers).unwrap_or_default();
    let refuse = move |error| Refusal { dialect, error };
    let shared = Arc::clone(&app);
    let start = move || start(&shared, &body.0, arrived).map_err(refuse);
    let (ask, generation) = super::in_the_back(start).await?;
    let seed = HeaderValue::from(generation.job().settings.seed());
    let mut response = match ask.streaming {
        Some(_) => sse::response(move |events| stream(Head::new(app, ask), generation, events)),
        None => whole(Head::new(app, ask), generation)
            .await
            .map_err(refuse)?,
    };
    response.headers_mut().insert(super::SEED_HEADER, seed);
    Ok(response)
}

/// Reads the body and hands the job to the engine.
fn start(app: &Arc<App>, body: &[u8], arrived: Instant) -> Result<(Ask, Generation), ApiError> {
    let object = super::fields::parse(body)?;
    let served = app.admit()?;
    let (ask, job) = ask::read(&object, served)?;
    Ok((ask, Generation::start(app, served, job, arrived)?))
}

/// The replies as one body.
async fn whole(head: Head, generation: Generation) -> Result<Response<Body>, ApiError> {
    let mut sums = Sums {
        told: told(&head, &generation),
        sums: vec![Piece::default(); head.ask.num_replies()],
        spent: Spent::default(),
        head,
    };
    generation.run(&mut sums).await?;
    let choices = sums
        .sums
        .iter()
        .enumerate()
        .map(|(index, sum)| sums.head.choice(index, sum));
    let choices: Vec<Value> = choices.collect();
    let mut body = sums.head.object(choices);
    body["usage"] = usage::json(&sums.spent);
    Ok(super::json_response(&body))
}

/// What was told of each reply: nothing yet.
fn told(head: &Head, generation: &Generation) -> Vec<Told> {
    let prompts = &generation.job().prompts;
    let choices = (0..head.ask.num_replies())
        .map(|choice| Told::new(&prompts[choice / head.ask.num_choices]));
    choices.collect()
}

/// Adds up the pieces of each reply.
struct Sums {
    head: Head,
    told: Vec<Told>,
    sums: Vec<Piece>,
    spent: Spent,
}

impl Listener for Sums {
    fn news(&mut self, choice: usize, news: News) {
        if let Some(End::Done(ending)) = &news.end {
            self.spent.add(choice / self.head.ask.num_choices, ending);
        }
        let piece = self.head.piece(choice, &mut self.told[choice], news);
        self.sums[choice].add(piece);
    }

    fn idle(&mut self) {}
}

/// The replies as chunks.
async fn stream(head: Head, generation: Generation, events: Events) {
    let mut chunks = Chunks {
        told: told(&head, &generation),
        num_open: head.ask.num_replies(),
        spent: Spent::default(),
        events: events.clone(),
        head,
    };
    if let Err(error) = generation.run(&mut chunks).await {
        tracing::warn!(error = %error.message, "a stream broke off");
        events.data(&error.body(Dialect::OpenAi));
    }
    events.done();
}

/// Writes each piece as a chunk.
struct Chunks {
    head: Head,
    told: Vec<Told>,
    num_open: usize,
    spent: Spent,
    events: Events,
}

impl Listener for Chunks {
    fn news(&mut self, choice: usize, news: News) {
        if let Some(End::Done(ending)) = &news.end {
            self.spent.add(choice / self.head.ask.num_choices, ending);
            self.num_open -= 1;
        }
        let tells_usage = self
            .head
            .ask
            .streaming
            .is_some_and(|streaming| streaming.include_usage);
        let piece = self.head.piece(choice, &mut self.told[choice], news);
        if !piece.is_empty() {
            let mut chunk = self.head.object(vec![self.head.choice(choice, &piece)]);
            if tells_usage {
                chunk["usage"] = Value::Null;
            }
            self.events.data(&chunk);
        }
        if self.num_open == 0 && tells_usage {
            let mut last = self.head.object(Vec::new());
            last["usage"] = usage::json(&self.spent);
            self.events.data(&last);
        }
    }

    fn idle(&mut self) {
        self.events.comment("keep-alive");
    }
}
