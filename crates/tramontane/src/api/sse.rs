//! A body of server-sent events that a task writes while it is being read.
//!
//! The task runs only while somebody polls the body and ends when the body is dropped: so a client that goes away takes
//! the task, and with it the receiver of its events, along. Must not know: what the events say.

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use futures_core::Stream;
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where a task writes events.
#[derive(Clone, Debug)]
pub struct Events(UnboundedSender<String>);

impl Events {
    /// An event with JSON in it.
    pub fn data(&self, value: &Value) {
        self.write(format!("data: {value}\n\n"));
    }

    /// The mark that ends a stream.
    pub fn done(&self) {
        self.write("data: [DONE]\n\n".to_owned());
    }

    /// A comment, which clients skip and proxies take for a sign of life.
    pub fn comment(&self, text: &str) {
        self.write(format!(": {text}\n\n"));
    }

    fn write(&self, text: String) {
        // Fails when the body is gone, and then so is the task.
        let _ = self.0.send(text);
    }
}

/// A response whose body is what `task` writes.
pub fn response<F>(task: impl FnOnce(Events) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, written) = unbounded_channel();
    let body = TaskBody {
        task: Some(Box::pin(task(Events(sender)))),
        written,
    };
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Asks nginx not to collect events before it passes them on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct TaskBody {
    /// None once it has ended.
    task: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    written: UnboundedReceiver<String>,
}

impl Stream for TaskBody {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Ok(text) = self.written.try_recv() {
                return Poll::Ready(Some(Ok(text)));
            }
            match self.task.as_mut().map(|task| task.as_mut().poll(context)) {
                None => return Poll::Ready(None),
                Some(Poll::Ready(())) => self.task = None,
                Some(Poll::Pending) if self.written.is_empty() => return Poll::Pending,
                Some(Poll::Pending) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::json;

    #[tokio::test]
    async fn what_the_task_writes_is_the_body() {
        let response = response(|events| async move {
            events.data(&json!({"a": 1}));
            tokio::task::yield_now().await;
            events.comment("waiting");
            events.done();
        });
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "data: {\"a\":1}\n\n: waiting\n\ndata: [DONE]\n\n");
    }
}
