//! `serve`: the socket, the model's loading, and the server's end. What is served is in `api`.

mod connections;
mod model;

use crate::api::{self, auth::Keys};
use crate::app::{App, Limits, Phase};
use crate::args::{LogFormat, ServeArgs};
use crate::load;
use anyhow::{Context, Result, anyhow};
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// How long streams have to say that the server ends, and connections to close.
const FAREWELL: Duration = Duration::from_secs(3);

/// How often a server that ends looks whether anything still runs.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Threads for what takes the processor or the network for a while: reading and tokenising requests, compiling grammars,
/// fetching images.
const MAX_BACK_THREADS: usize = 32;

/// Serves until it is told to end.
pub fn run(args: &ServeArgs) -> Result<()> {
    start_log(args.log_format)?;
    let limits = Limits {
        max_body: args.max_body,
        max_replies: args.max_batch.saturating_add(args.max_queue),
        deadline: args.deadline.map(seconds),
        client_timeout: seconds(args.client_timeout),
        allow_image_urls: args.allow_image_urls,
    };
    let app = Arc::new(App::new(limits, keys(args)?));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_BACK_THREADS)
        .build()
        .context("cannot start the server's threads")?;
    let result = runtime.block_on(serve(args, app));
    // A model that is still being loaded is not waited for.
    runtime.shutdown_background();
    result
}

fn seconds(number: usize) -> Duration {
    Duration::from_secs(number as u64)
}

fn start_log(format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}

/// The keys that were typed and those in the file.
fn keys(args: &ServeArgs) -> Result<Keys> {
    let file = match &args.api_key_file {
        None => String::new(),
        Some(path) => String::from_utf8(load::read(path)?)
            .with_context(|| format!("{}: not UTF-8", path.display()))?,
    };
    let in_file = file
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all: Vec<&str> = args
        .api_key
        .iter()
        .map(String::as_str)
        .chain(in_file)
        .collect();
    if all.is_empty() && args.api_key_file.is_some() {
        return Err(anyhow!(
            "the file of --api-key-file holds no key\nPut one in, or leave the flag out to let everyone in"
        ));
    }
    Keys::new(all).map_err(|what| anyhow!(what))
}

async fn serve(args: &ServeArgs, app: Arc<App>) -> Result<()> {
    let router = api::router(Arc::clone(&app), &args.cors).map_err(|what| anyhow!(what))?;
    let address = format!("{}:{}", args.host, args.port);
    let listener = TcpListener::bind((args.host.as_str(), args.port))
        .await
        .with_context(|| {
            format!("cannot listen on {address}; choose another with --host and --port")
        })?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let connections =
        connections::Connections::new(router, args.max_connections, app.limits.client_timeout);
    let accepting = tokio::spawn(Arc::clone(&connections).accept(listener));

    let (for_loading, typed) = (Arc::clone(&app), args.clone());
    let mut loading = tokio::task::spawn_blocking(move || model::load(&typed, &for_loading));
    let mut signals = Signals::new()?;
    let is_loaded = tokio::select! {
        loaded = &mut loading => {
            loaded.context("loading the model")??;
            true
        }
        () = signals.next() => false,
    };
    if is_loaded {
        if args.log_format == LogFormat::Text && std::io::stderr().is_terminal() {
            eprintln!("\nChat at {}  (Ctrl-C ends the server)\n", page(address));
        }
        signals.next().await;
    }
    finish(&app, &mut signals, seconds(args.grace)).await;
    accepting.abort();
    if tokio::time::timeout(FAREWELL, connections.close())
        .await
        .is_err()
    {
        tracing::warn!("some connections did not close");
    }
    Ok(())
}

/// Where a browser on this machine finds the chat page.
fn page(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(all) if all.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(all) if all.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        one => one,
    };
    format!("http://{}/", SocketAddr::new(host, address.port()))
}

/// Refuses what is new, waits for what runs, and cuts it off when that takes too long or a second signal comes.
async fn finish(app: &App, signals: &mut Signals, grace: Duration) {
    tracing::info!(
        grace_seconds = grace.as_secs(),
        "ending: what runs may finish"
    );
    app.enter(Phase::Draining);
    tokio::select! {
        () = no_jobs(app) => return,
        () = tokio::time::sleep(grace) => tracing::warn!("ending: replies that still run are cut off"),
        () = signals.next() => tracing::warn!("ending at once"),
    }
    app.enter(Phase::Ending);
    let _ = tokio::time::timeout(FAREWELL, no_jobs(app)).await;
}

/// Waits until no job is left.
async fn no_jobs(app: &App) {
    while app.num_jobs() > 0 {
        tokio::time::sleep(A_MOMENT).await;
    }
}

/// The signals that ask a program to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_where_a_browser_here_finds_it() {
        for (address, expected) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
            ("192.0.2.7:80", "http://192.0.2.7:80/"),
            ("0.0.0.0:8000", "http://127.0.0.1:8000/"),
            ("[::]:9", "http://[::1]:9/"),
        ] {
            assert_eq!(page(address.parse().unwrap()), expected);
        }
    }
}
