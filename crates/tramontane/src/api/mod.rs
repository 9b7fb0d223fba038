//! The HTTP server's endpoints, one file each, and what they share.
//!
//! Must not know: sockets and signals (`commands/serve.rs`), or how tokens are computed.

pub mod auth;
mod body;
mod chat;
mod completions;
mod detokenize;
mod dialect;
mod effort;
mod fields;
pub mod generation;
mod health;
mod hold;
mod images;
pub mod metrics;
mod models;
mod openapi;
mod page;
mod sampling;
mod sse;
mod tokenize;
mod tokenizer_info;
mod tolerance;
mod trace;
mod usage;

use crate::app::App;
use crate::error::{ApiError, Kind, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::middleware::{self, Next};
use axum::routing::{MethodRouter, get, post};
use serde_json::Value;
use std::sync::Arc;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// The response header that tells the seed of a reply's draws, given or not.
pub const SEED_HEADER: &str = "x-tramontane-seed";

/// An endpoint: its path, what answers, and whether it takes a key where the server has keys.
struct Route(&'static str, MethodRouter<Arc<App>>, Access);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Open,
    Keyed,
}

/// Every endpoint.
fn routes() -> [Route; 14] {
    use Access::{Keyed, Open};
    [
        Route("/v1/chat/completions", post(chat::post), Keyed),
        Route("/v1/completions", post(completions::post), Keyed),
        Route("/v1/models", get(models::list), Keyed),
        // Names may hold a slash.
        Route("/v1/models/{*id}", get(models::one), Keyed),
        Route("/tokenize", post(tokenize::post), Keyed),
        Route("/detokenize", post(detokenize::post), Keyed),
        Route("/tokenizer_info", get(tokenizer_info::get), Keyed),
        Route("/health", get(health::health), Open),
        Route("/ready", get(health::ready), Open),
        Route("/metrics", get(metrics::get), Open),
        Route("/version", get(health::version), Open),
        Route("/openapi.json", get(openapi::get), Open),
        Route("/", get(page::index), Open),
        Route("/page/{version}/{*file}", get(page::asset), Open),
    ]
}

/// All endpoints. `cors`: the origins whose pages may call them, `*` for all.
///
/// # Errors
/// An origin that cannot be one.
pub fn router(app: Arc<App>, cors: &[String]) -> Result<Router, String> {
    let check = middleware::from_fn_with_state(Arc::clone(&app), check_key);
    let mut router = Router::new();
    for Route(path, answer, access) in routes() {
        let answer = match access {
            Access::Open => answer,
            Access::Keyed => answer.route_layer(check.clone()),
        };
        router = router.route(path, answer);
    }
    let router = router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method);
    let router = match cors {
        [] => router,
        origins => router.layer(cross_origin(origins)?),
    };
    Ok(router
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            trace::request,
        ))
        .with_state(app))
}

fn cross_origin(origins: &[String]) -> Result<CorsLayer, String> {
    let layer = CorsLayer::new()
        .allow_methods(Any)
        .allow_headers(Any)
        .expose_headers(Any);
    if origins.iter().any(|origin| origin == "*") {
        return Ok(layer.allow_origin(Any));
    }
    let values = origins.iter().map(|origin| {
        let is_origin = origin.starts_with("http://") || origin.starts_with("https://");
        let value = HeaderValue::from_str(origin.trim_end_matches('/'))
            .ok()
            .filter(|_| is_origin);
        value.ok_or_else(|| {
            format!("--cors {origin}: expected an origin such as https://example.org, or *")
        })
    });
    Ok(layer.allow_origin(AllowOrigin::list(values.collect::<Result<Vec<_>, _>>()?)))
}

async fn check_key(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response<Body>, Refusal> {
    let checked = app.keys.check(request.headers());
    checked.map_err(|error| refusal(request.headers(), error))?;
    Ok(next.run(request).await)
}

async fn no_such_path(request: Request) -> Refusal {
    let paths = routes()
        .map(|Route(path, ..)| path.replace("*", ""))
        .join(", ");
    let message = format!(
        "there is no {} here; endpoints are {paths}",
        shown(request.uri().path())
    );
    refusal(request.headers(), ApiError::new(Kind::Path, message))
}

async fn no_such_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), shown(request.uri().path()));
    let message = format!("{method} is not what {path} takes; the Allow header says what is");
    refusal(request.headers(), ApiError::new(Kind::Method, message))
}

/// A path for a message, cut off where it is long.
fn shown(path: &str) -> &str {
    path.char_indices()
        .nth(100)
        .map_or(path, |(end, _)| &path[..end])
}

/// An error in the dialect that the request's headers name.
fn refusal(headers: &HeaderMap, error: ApiError) -> Refusal {
    let dialect = dialect::of_headers(headers).unwrap_or_default();
    Refusal { dialect, error }
}

/// Runs what takes the processor for a while where it does not hold up other connections.
async fn in_the_back<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        let error = ApiError::new(
            Kind::Engine,
            "the server failed on this request, which is a fault of its own",
        );
        Err(Refusal {
            dialect: Default::default(),
            error,
        })
    })
}

fn json_response(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// 32 hexadecimal digits that no other request has.
fn random_id() -> String {
    format!("{:016x}{:016x}", engine::fresh_seed(), engine::fresh_seed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_names_every_endpoint_and_no_other() {
        let served: BTreeSet<String> = routes().map(|Route(path, ..)| path.replace('*', "")).into();
        let description = openapi::description();
        let described = description["paths"].as_object().unwrap().keys().cloned();
        assert_eq!(described.collect::<BTreeSet<String>>(), served);
    }
}
