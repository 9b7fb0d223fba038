//! Trouble that may pass: each ends with the right file, or with an error and a part that the next run goes on with.

use crate::home::{Home, noise, said};
use crate::server::{Fault, Hub, Repo};
use std::fs;
use std::time::{Duration, Instant};

const SIZE: usize = 400_000;

/// One large file; its path in the cache is what a pull prints.
fn one_file() -> Repo {
    Repo::new('a').large("m.gguf", noise(SIZE, 1))
}

/// A hub with one large file, and a home.
fn hub_with_file(faults: &[(&str, &[Fault])]) -> (Hub, Home) {
    let hub = Hub::start();
    hub.put("o/m", one_file());
    for (part, faults) in faults {
        hub.fail(part, *faults);
    }
    let home = Home::new(&hub);
    (hub, home)
}

/// A pull that gets over these faults, to the right file and nothing else. Returns the starts of the ranges asked for.
fn gets_over(faults: &[(&str, &[Fault])]) -> Vec<usize> {
    let (hub, home) = hub_with_file(faults);
    let path = home.ok(&["pull", "o/m"]);
    assert_eq!(fs::read(path).unwrap(), noise(SIZE, 1));
    assert_eq!(home.leftovers("o/m"), [one_file().files["m.gguf"].etag()]);
    starts(&hub)
}

/// Where the requests to the content network began.
fn starts(hub: &Hub) -> Vec<usize> {
    let start = |range: &String| {
        range
            .strip_prefix("bytes=")?
            .split('-')
            .next()?
            .parse()
            .ok()
    };
    hub.asked("GET /cdn/")
        .iter()
        .map(|asked| asked.headers.get("range").and_then(start).unwrap_or(0))
        .collect()
}

#[test]
fn a_cut_connection_goes_on_where_it_was_cut() {
    let faults = [Fault::Cut(100_000), Fault::Cut(50_000), Fault::Cut(0)];
    assert_eq!(
        gets_over(&[("GET /cdn/", &faults)]),
        [0, 100_000, 150_000, 150_000]
    );
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let start = Instant::now();
    assert_eq!(
        gets_over(&[("GET /cdn/", &[Fault::Stall(1_000)])]),
        [0, 1_000]
    );
    assert_eq!(gets_over(&[("GET /cdn/", &[Fault::Drip])]).len(), 2);
    gets_over(&[
        ("HEAD /o/m/resolve", &[Fault::Status(503, vec![])]),
        ("GET /api/", &[Fault::Stall(10)]),
    ]);
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn wrong_bytes_are_thrown_away() {
    assert_eq!(gets_over(&[("GET /cdn/", &[Fault::Flip])]), [0, 0]);
    assert_eq!(
        gets_over(&[("GET /cdn/", &[Fault::Length(-5), Fault::Length(5)])]),
        [0, 0, 0]
    );
    assert_eq!(gets_over(&[("GET /cdn/", &[Fault::Page])]), [0, 0]);
    // Cut, then resumed with bytes from another place, or with all of it.
    assert_eq!(
        gets_over(&[("GET /cdn/", &[Fault::Cut(1_000), Fault::WrongRange])]),
        [0, 1_000, 0]
    );
    assert_eq!(
        gets_over(&[("GET /cdn/", &[Fault::Cut(1_000), Fault::IgnoreRange])]),
        [0, 1_000]
    );
    // The first 70,000 bytes are another file's: only the checksum tells.
    let other = Fault::Body(noise(70_000, 7));
    assert!(gets_over(&[("GET /cdn/", &[Fault::Cut(70_000), other, Fault::Fine])]).len() >= 3);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let busy = |status| Fault::Status(status, vec![]);
    gets_over(&[("GET /api/", &[busy(500), busy(503)])]);
    gets_over(&[
        ("HEAD /o/m/resolve", &[busy(502)]),
        ("GET /o/m/resolve", &[busy(504)]),
    ]);
    // A link that has expired: the hub gives a new one.
    assert_eq!(
        gets_over(&[("GET /cdn/", &[Fault::Cut(10), busy(403)])]),
        [0, 10, 10]
    );
}

#[test]
fn a_server_is_given_the_time_it_asks_for() {
    let wait = |seconds: &str| Fault::Status(429, vec![("retry-after", seconds.to_owned())]);
    let start = Instant::now();
    gets_over(&[("GET /api/", &[wait("2")])]);
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    gets_over(&[("GET /api/", &[wait("Wed, 21 Oct 2015 07:28:00 GMT")])]);
    let reset = Fault::Status(429, vec![("ratelimit", "\"api\";r=0;t=1".to_owned())]);
    gets_over(&[("GET /o/m/resolve", &[reset])]);
    let (hub, home) = hub_with_file(&[("GET /api/", &[wait("100000")])]);
    let error = home.fails(&["pull", "o/m"]);
    assert!(
        error.contains("429") && error.contains("wait 100000 s"),
        "{error}"
    );
    assert_eq!(hub.asked("GET /api/").len(), 1);
}

#[test]
fn patience_ends_and_the_next_run_goes_on() {
    let (hub, home) = hub_with_file(&[(
        "GET /cdn/",
        &[Fault::Cut(90_000), Fault::Cut(0), Fault::Cut(5_000)],
    )]);
    let error = home.fails(&["pull", "o/m", "--retries", "1"]);
    assert!(
        error.contains("cannot fetch m.gguf") && error.contains("90000 of 400000"),
        "{error}"
    );
    assert!(
        error.contains("2 attempts") && error.contains("is kept"),
        "{error}"
    );
    let etag = one_file().files["m.gguf"].etag();
    assert_eq!(home.leftovers("o/m"), [format!("{etag}.incomplete")]);
    let again = home.run(&["pull", "o/m"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(
        again
            .err
            .contains("checking the 87.9 KiB that came in an earlier run"),
        "{}",
        again.err
    );
    assert_eq!(fs::read(again.out.trim_end()).unwrap(), noise(SIZE, 1));
    assert_eq!(starts(&hub), [0, 90_000, 90_000, 95_000]);
    assert_eq!(home.leftovers("o/m"), [etag]);
}

#[test]
fn a_damaged_part_from_an_earlier_run_is_fetched_anew() {
    let (hub, home) = hub_with_file(&[]);
    let blobs = home.repo("o/m").join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let etag = one_file().files["m.gguf"].etag();
    fs::write(blobs.join(format!("{etag}.incomplete")), noise(1_000, 5)).unwrap();
    let path = home.ok(&["pull", "o/m"]);
    assert_eq!(fs::read(path).unwrap(), noise(SIZE, 1));
    assert_eq!(starts(&hub), [1_000, 0]);
    // Longer than the file, and a content cut short by a crash.
    for (name, len) in [(format!("{etag}.incomplete"), SIZE + 1), (etag.clone(), 10)] {
        let home = Home::new(&hub);
        let blobs = home.repo("o/m").join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(name), noise(len, 5)).unwrap();
        assert_eq!(fs::read(home.ok(&["pull", "o/m"])).unwrap(), noise(SIZE, 1));
        assert_eq!(home.leftovers("o/m"), [etag.as_str()]);
    }
}

#[test]
fn a_file_that_is_always_wrong_never_reaches_its_place() {
    let always = |fault: Fault| vec![fault; 10];
    let (_hub, home) = hub_with_file(&[("GET /cdn/", &always(Fault::Flip))]);
    let error = home.fails(&["pull", "o/m"]);
    assert!(
        error.contains("m.gguf: expected SHA-256") && error.contains("got SHA-256"),
        "{error}"
    );
    assert!(
        !home
            .leftovers("o/m")
            .contains(&one_file().files["m.gguf"].etag())
    );
    // Small files have a checksum too.
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put(
        "o/s",
        Repo::new('a')
            .small("config.json", "{}")
            .large("model.safetensors", noise(10, 1)),
    );
    hub.fail("GET /o/s/resolve", always(Fault::Flip));
    let error = home.fails(&["pull", "o/s", "--jobs", "1"]);
    assert!(error.contains("config.json: expected git blob"), "{error}");
    let error = home.fails(&["inspect", "-m", "o/s"]);
    assert!(error.contains("tramontane pull o/s"), "{error}");
}

#[test]
fn sizes_that_disagree_are_told() {
    let linked = Fault::Header("x-linked-size", "399999".into());
    let (_hub, home) = hub_with_file(&[("HEAD /o/m/resolve", &[linked])]);
    let error = home.fails(&["pull", "o/m"]);
    assert!(
        error.contains("400000 bytes") && error.contains("399999 bytes"),
        "{error}"
    );
    let (_hub, home) = hub_with_file(&[("GET /cdn/", &vec![Fault::Length(-5); 10])]);
    let error = home.fails(&["pull", "o/m", "--retries", "1"]);
    assert!(error.contains("sends 399995 bytes of 400000"), "{error}");
    let endless = Fault::Length(40 << 20);
    let (_hub, home) = hub_with_file(&[("GET /api/", &[endless])]);
    let error = home.fails(&["pull", "o/m"]);
    assert!(error.contains("at most 32 MiB"), "{error}");
}

#[test]
fn a_file_that_changes_between_runs_is_fetched_as_it_is_now() {
    let (hub, home) = hub_with_file(&[("GET /cdn/", &[Fault::Cut(50_000)])]);
    home.fails(&["pull", "o/m", "--retries", "0"]);
    hub.put("o/m", Repo::new('b').large("m.gguf", noise(SIZE, 2)));
    let path = home.ok(&["pull", "o/m"]);
    assert!(path.contains(&"b".repeat(40)), "{path}");
    assert_eq!(fs::read(path).unwrap(), noise(SIZE, 2));
    assert_eq!(starts(&hub), [0, 0]);
}

#[test]
fn a_file_that_changes_between_requests_is_not_mixed() {
    // Served by the hub itself, without a checksum: `If-Range` keeps the two versions apart.
    let hub = Hub::start();
    let home = Home::new(&hub);
    let repo = Repo {
        hides_sizes: true,
        ..Repo::new('a').small("m.gguf", noise(SIZE, 1))
    };
    hub.put("o/m", repo);
    let changed = Fault::Header("etag", "\"changed\"".into());
    hub.fail("GET /o/m/resolve", [Fault::Cut(1_000), changed]);
    let path = home.ok(&["pull", "o/m"]);
    assert_eq!(fs::read(path).unwrap(), noise(SIZE, 1));
    let asked = hub.asked("GET /o/m/resolve");
    assert_eq!(asked.len(), 3);
    let etag = format!("\"{}\"", crate::digests::git_blob(&noise(SIZE, 1)));
    assert_eq!(asked[1].headers.get("if-range"), Some(&etag));
}

#[test]
fn two_pulls_of_one_repository_share_the_work() {
    let (hub, home) = hub_with_file(&[("GET /cdn/", &[Fault::Stall(200_000)])]);
    let first = home.start(&["pull", "o/m"]);
    while hub.asked("GET /cdn/").is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = said(home.start(&["pull", "o/m"]).wait_with_output().unwrap());
    let first = said(first.wait_with_output().unwrap());
    assert_eq!(
        (first.code, second.code),
        (0, 0),
        "{} {}",
        first.err,
        second.err
    );
    assert!(
        second.err.contains("another process is fetching it"),
        "{}",
        second.err
    );
    assert_eq!(first.out, second.out);
    assert_eq!(fs::read(first.out.trim_end()).unwrap(), noise(SIZE, 1));
    assert_eq!(starts(&hub), [0, 200_000]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_part_to_go_on_with() {
    let (hub, mut home) = hub_with_file(&[("GET /cdn/", &[Fault::Stall(200_000)])]);
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "15");
    let etag = one_file().files["m.gguf"].etag();
    let partial = home.repo("o/m").join(format!("blobs/{etag}.incomplete"));
    let child = home.start(&["pull", "o/m"]);
    while fs::metadata(&partial).map_or(0, |facts| facts.len()) < 200_000 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = Instant::now();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let said = said(child.wait_with_output().unwrap());
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        said.err.contains("interrupted") && said.err.contains("run the same command again"),
        "{}",
        said.err
    );
    assert_eq!(fs::metadata(&partial).unwrap().len(), 200_000);
    assert_eq!(fs::read(home.ok(&["pull", "o/m"])).unwrap(), noise(SIZE, 1));
    assert_eq!(starts(&hub), [0, 200_000]);
}
