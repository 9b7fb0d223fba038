//! A request on its way through the engine: hands it in, and tells a listener what comes, until it is over, too late, or
//! the server ends.
//!
//! Dropping a [`Generation`] cancels what is left of it within one step. Must not know: the shape of any body.

use super::metrics::Outcome;
use crate::app::{self, App, Phase, Served};
use crate::error::{ApiError, Kind};
use crate::generate::{self, End, News, Settings, Teller};
use crate::grammar::Grammar;
use chat::Prompt;
use chat::format::parse::FinishReason;
use engine::{Event, EventSink};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How long a listener hears nothing before it is told that there is nothing yet.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is to be generated.
pub struct Job {
    /// The prompts; each gets `num_choices` replies.
    pub prompts: Vec<Prompt>,
    /// Replies to each prompt.
    pub num_choices: u32,
    /// What they are held to.
    pub grammar: Option<Grammar>,
    /// How they are generated.
    pub settings: Settings,
}

/// Who is told.
pub trait Listener {
    /// Something about the reply of that number, counted over all prompts.
    fn news(&mut self, choice: usize, news: News);

    /// Nothing for a while.
    fn idle(&mut self);
}

/// Replies that are being generated.
pub struct Generation {
    app: Arc<App>,
    job: Job,
    events: UnboundedReceiver<(usize, Event)>,
    /// One for each reply that is still wanted.
    wanted: Vec<Option<Arc<()>>>,
    clocks: Vec<Clock>,
    arrived: Instant,
    phases: watch::Receiver<Phase>,
}

/// When things happened to a reply.
#[derive(Clone, Copy, Default)]
struct Clock {
    last_token: Option<Instant>,
    num_tokens: usize,
    ended: bool,
}

impl Generation {
    /// Hands a job to the engine. To be called where it may take time: images are looked at here.
    ///
    /// # Errors
    /// Whatever the engine refuses; then nothing of the job runs.
    pub fn start(
        app: &Arc<App>,
        served: &Served,
        job: Job,
        arrived: Instant,
    ) -> Result<Self, ApiError> {
        let num_replies = job.prompts.len() * job.num_choices as usize;
        let most = app.limits.max_replies;
        if num_replies > most {
            let message = format!(
                "{num_replies} replies are asked for at once, this server computes or queues at most {most}"
            );
            return Err(ApiError::new(Kind::Field, message).about("n"));
        }
        let (sender, events) = unbounded_channel();
        let mut wanted = Vec::with_capacity(num_replies);
        for prompt in &job.prompts {
            let request = generate::request(
                &served.words,
                served.eyes.as_ref(),
                prompt,
                job.grammar.as_ref(),
                &job.settings,
                0,
            )?;
            for choice_index in 0..job.num_choices {
                let listening = Arc::new(());
                let sink = Sink {
                    choice: wanted.len(),
                    sender: sender.clone(),
                    wanted: Arc::downgrade(&listening),
                };
                wanted.push(Some(listening));
                let request = engine::GenerateRequest {
                    choice_index,
                    ..request.clone()
                };
                let submitted = served.engine.submit_to(request, Box::new(sink));
                submitted.map_err(|error| refused(error, app))?;
            }
        }
        app.job_begins();
        Ok(Self {
            app: Arc::clone(app),
            job,
            events,
            wanted,
            clocks: vec![Clock::default(); num_replies],
            arrived,
            phases: app.phases(),
        })
    }

    /// What is being generated.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Tells `listener` everything until all replies are over.
    ///
    /// # Errors
    /// The engine failed, the request took too long, or the server ends.
    pub async fn run(mut self, listener: &mut impl Listener) -> Result<(), ApiError> {
        let app = Arc::clone(&self.app);
        let words = &app.served()?.words;
        let prompts = self.job.prompts.iter();
        let prompts =
            prompts.flat_map(|prompt| std::iter::repeat_n(prompt, self.job.num_choices as usize));
        let mut tellers = prompts
            .map(|prompt| Teller::new(words, prompt, &self.job.settings))
            .collect::<Result<Vec<_>, _>>()?;
        let mut open = tellers.len();
        while open > 0 {
            let (choice, event) = self.next(listener).await?;
            self.observe(choice, &event);
            let news = tellers[choice].take(event);
            match &news.end {
                None => {}
                Some(End::Failed(what)) => {
                    self.end(choice, Outcome::Error);
                    return Err(ApiError::failed(what));
                }
                Some(End::Done(ending)) => {
                    open -= 1;
                    self.end(
                        choice,
                        match ending.reason {
                            FinishReason::Stop => Outcome::Stop,
                            FinishReason::Length => Outcome::Length,
                            FinishReason::ToolCalls => Outcome::ToolCalls,
                        },
                    );
                }
            }
            listener.news(choice, news);
        }
        Ok(())
    }

    /// The next event.
    async fn next(&mut self, listener: &mut impl Listener) -> Result<(usize, Event), ApiError> {
        let deadline = self.app.limits.deadline;
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_sub(self.arrived.elapsed())
        });
        tokio::select! {
            biased;
            _ = self.phases.wait_for(|phase| *phase == Phase::Ending) => Err(app::ending()),
            () = tokio::time::sleep(left), if deadline.is_some() => {
                let seconds = deadline.unwrap_or_default().as_secs();
                let message = format!("the request took longer than the {seconds} seconds that this server allows");
                Err(ApiError::new(Kind::Deadline, message))
            }
            event = wait(&mut self.events, KEEP_ALIVE, || listener.idle()) => {
                event.ok_or_else(|| ApiError::new(Kind::Engine, "the engine ended before the reply did"))
            }
        }
    }

    /// Keeps the counters.
    fn observe(&mut self, choice: usize, event: &Event) {
        let metrics = &self.app.metrics;
        match event {
            Event::Started { cached_tokens } => {
                let prompt = &self.job.prompts[choice / self.job.num_choices as usize];
                metrics.started(self.arrived.elapsed(), prompt.ids.len(), *cached_tokens);
            }
            Event::Token { .. } => {
                let clock = &mut self.clocks[choice];
                let now = Instant::now();
                match clock.last_token.replace(now) {
                    None => metrics
                        .first_token
                        .observe((now - self.arrived).as_secs_f64()),
                    Some(last) => metrics.next_token.observe((now - last).as_secs_f64()),
                }
                clock.num_tokens += 1;
            }
            Event::PromptLogprobs(_) | Event::Finished { .. } | Event::Failed(_) => {}
        }
    }

    /// A reply is over: nobody listens to it any more.
    fn end(&mut self, choice: usize, outcome: Outcome) {
        self.wanted[choice] = None;
        let clock = &mut self.clocks[choice];
        if !std::mem::replace(&mut clock.ended, true) {
            self.app
                .metrics
                .ended(outcome, self.arrived.elapsed(), clock.num_tokens);
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        for choice in 0..self.clocks.len() {
            self.end(choice, Outcome::Abort);
        }
        self.app.job_ends();
    }
}

/// The next of `events`, none after the last; tells `idle` whenever there was nothing for an `interval`.
async fn wait<T>(
    events: &mut UnboundedReceiver<T>,
    interval: Duration,
    mut idle: impl FnMut(),
) -> Option<T> {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => return event,
            () = tokio::time::sleep(interval) => idle(),
        }
    }
}

/// A full queue says when to come back: about when a running request will have ended.
fn refused(error: engine::EngineError, app: &App) -> ApiError {
    let error = ApiError::from(error);
    match error.kind {
        Kind::Queue => {
            let mean = app.metrics.whole.mean().unwrap_or(1.0);
            error.retry_after(mean.ceil().clamp(1.0, 60.0) as u64)
        }
        _ => error,
    }
}

/// Takes one reply's events to the request's channel.
struct Sink {
    choice: usize,
    sender: UnboundedSender<(usize, Event)>,
    wanted: Weak<()>,
}

impl EventSink for Sink {
    fn send(&mut self, event: Event) {
        // Fails when the request is gone, which `is_closed` reports before the next step.
        let _ = self.sender.send((self.choice, event));
    }

    fn is_closed(&self) -> bool {
        self.wanted.strong_count() == 0 || self.sender.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::sse;
    use http_body_util::BodyExt;

    /// As while a long prompt is read: the stream says that it is alive before there is anything to say.
    #[tokio::test]
    async fn a_stream_without_news_carries_comments() {
        let (engine, mut events) = unbounded_channel();
        let response = sse::response(|body| async move {
            let comment = || body.comment("keep-alive");
            while let Some(news) = wait(&mut events, Duration::from_millis(5), comment).await {
                body.data(&news);
            }
            body.done();
        });
        let mut body = response.into_body();
        for _ in 0..3 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), ": keep-alive\n\n");
        }
        engine.send(serde_json::json!(1)).unwrap();
        drop(engine);
        let rest = body.collect().await.unwrap().to_bytes();
        let rest = String::from_utf8(rest.to_vec()).unwrap();
        assert!(rest.ends_with("data: 1\n\ndata: [DONE]\n\n"), "{rest}");
    }

    #[tokio::test]
    async fn news_in_time_are_not_idleness() {
        let (engine, mut events) = unbounded_channel();
        engine.send(1).unwrap();
        drop(engine);
        let idle = || panic!("there was something");
        assert_eq!(wait(&mut events, Duration::ZERO, idle).await, Some(1));
        assert_eq!(wait(&mut events, Duration::ZERO, idle).await, None);
    }
}
