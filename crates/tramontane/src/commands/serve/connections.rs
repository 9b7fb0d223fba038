//! Accepting connections: not too many, none that dawdles, and an end that lets answers out.
//!
//! Must not know: what is served.

mod patience;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use patience::Patient;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The most header fields of a request.
const MAX_HEADERS: usize = 128;
/// The most bytes of its head.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long accepting rests when the system has no more sockets to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(100);

/// The server's connections.
pub struct Connections {
    router: Router,
    places: Arc<Semaphore>,
    patience: Duration,
    /// Taken when the server closes.
    watched: Mutex<Option<GracefulShutdown>>,
}

impl Connections {
    /// At most so many at once; a client that takes longer than `patience` for a step of its own is dropped.
    pub fn new(router: Router, most: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            router,
            places: Arc::new(Semaphore::new(most)),
            patience,
            watched: Mutex::new(Some(GracefulShutdown::new())),
        })
    }

    /// Accepts for ever.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            // Beyond the limit, connections wait in the system's own queue.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = Arc::clone(&self);
                    tokio::spawn(async move {
                        connection.serve(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(OUT_OF_SOCKETS).await;
                }
            }
        }
    }

    async fn serve(&self, stream: TcpStream) {
        // Chunks of a stream are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Patient::new(stream, self.patience));
        let service = TowerToHyperService::new(self.router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(io, service);
        let watcher = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.as_ref().map(GracefulShutdown::watcher)
        };
        let served = match watcher {
            Some(watcher) => watcher.watch(connection).await,
            // The server is closing: nobody waits for this one.
            None => connection.await,
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke off");
        }
    }

    /// Closes every connection when it has sent the answer it is at.
    pub async fn close(&self) {
        let watched = self
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(watched) = watched {
            watched.shutdown().await;
        }
    }
}
