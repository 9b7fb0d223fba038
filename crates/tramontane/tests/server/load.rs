//! Two hundred clients at once. As a test for ten seconds on a model of random weights; `cargo xtask load` runs it longer
//! and on any model.

use crate::crowd::{self, Seen, Tally};
use crate::server::Server;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What memory may grow by once the crowd has been there for [`WARM_UP`] of the time.
const MAX_GROWTH: u64 = 32 << 20;
const WARM_UP: f64 = 0.4;
const SAMPLE: Duration = Duration::from_millis(200);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn two_hundred_clients_are_served() {
    let seconds = setting("TRAMONTANE_LOAD_SECONDS", 10);
    let clients = setting("TRAMONTANE_LOAD_CLIENTS", 200) as usize;
    let server = match std::env::var("TRAMONTANE_LOAD_MODEL") {
        Ok(model) => Server::of(&model, &["--max-queue", "150"], None),
        Err(_) => Server::start(&["--max-queue", "150"]),
    };
    let (threads, files) = (server.num_threads(), server.num_files());
    let (is_over, num_visits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    let mut memory: Vec<(Duration, u64)> = Vec::new();
    let tally = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd::come(&server.address, clients, &is_over, &num_visits));
        // A slow machine gets the time that it needs to have seen everybody.
        let is_short = || {
            start.elapsed().as_secs() < seconds || num_visits.load(Ordering::SeqCst) < 2 * clients
        };
        while is_short() && !crowd.is_finished() {
            memory.push((start.elapsed(), server.memory()));
            std::thread::sleep(SAMPLE);
        }
        is_over.store(true, Ordering::SeqCst);
        crowd.join().unwrap()
    });
    let took = start.elapsed();
    let warm = took.mul_f64(WARM_UP);
    let most = |is_early: bool| {
        let samples = memory.iter().filter(|(at, _)| (*at < warm) == is_early);
        samples.map(|(_, bytes)| *bytes).max().unwrap()
    };
    let (early, late) = (most(true), most(false));
    tell(&tally, clients, took, early, late);
    assert!(
        late < early + MAX_GROWTH,
        "memory grew from {early} to {late}"
    );
    for seen in [Seen::Stream, Seen::Body, Seen::Left] {
        assert!(
            tally
                .seen
                .get(&seen)
                .is_some_and(|count| *count > clients / 8),
            "{seen:?}: {:?}",
            tally.seen
        );
    }
    for gauge in [
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
    ] {
        server.wait_for(|server| server.metric(&format!("vllm:{gauge}")) == 0.0);
    }
    server.wait_for(|server| server.num_files() <= files);
    server.wait_for(|server| server.num_threads() <= threads);
    let log = server.read_log();
    assert!(
        !log.iter()
            .any(|line| line.contains("panicked") || line.contains("ERROR")),
        "{log:#?}"
    );
}

fn tell(tally: &Tally, clients: usize, took: Duration, early: u64, late: u64) {
    let count = |seen: Seen| tally.seen.get(&seen).copied().unwrap_or_default();
    let mut firsts = tally.first_tokens.clone();
    firsts.sort_unstable();
    let part =
        |percent: usize| firsts[(firsts.len() * percent / 100).min(firsts.len() - 1)].as_secs_f64();
    println!(
        "{clients} clients for {:.0} s: {} streams and {} bodies whole, {} hung up on, {} told 429; {:.0} tokens/s in whole \
         replies; first token after {:.2} s (median), {:.2} s (99 %); memory at most {} MiB in the first {:.0} % of the \
         time, {} MiB later",
        took.as_secs_f64(),
        count(Seen::Stream),
        count(Seen::Body),
        count(Seen::Left),
        count(Seen::Full),
        tally.num_tokens as f64 / took.as_secs_f64(),
        part(50),
        part(99),
        early >> 20,
        WARM_UP * 100.0,
        late >> 20,
    );
}
