//! What no patience helps with: each is said at once, with what to do. And what a hostile server may not reach.

use crate::home::{Home, noise};
use crate::server::{Fault, Hub, Repo};
use std::fs;
use std::time::{Duration, Instant};

fn hub_with_file() -> (Hub, Home) {
    let hub = Hub::start();
    hub.put("o/m", Repo::new('a').large("m.gguf", noise(1_000, 1)));
    let home = Home::new(&hub);
    (hub, home)
}

#[test]
fn what_is_not_there_is_said() {
    let (_hub, home) = hub_with_file();
    let repo = home.fails(&["pull", "o/other"]);
    assert!(
        repo.contains("has no repository o/other") && repo.contains("Repository not found"),
        "{repo}"
    );
    let revision = home.fails(&["pull", "o/m@v9"]);
    assert!(revision.contains("no revision v9"), "{revision}");
    for name in [
        "m",
        "../m",
        "o/m/x",
        "o/m:",
        "-x/y",
        "https://example.com/o/m",
    ] {
        let error = home.run(&["pull", "--", name]);
        assert_eq!(error.code, 1);
        assert!(
            error.err.contains("is not a hub name") && error.err.contains("owner/repo"),
            "{}",
            error.err
        );
    }
}

#[test]
fn a_gated_repository_opens_to_the_right_token_only() {
    let hub = Hub::start();
    let mut home = Home::new(&hub);
    let gated = Repo {
        token: Some("hf_right".into()),
        ..Repo::new('a').large("m.gguf", noise(1_000, 1))
    };
    hub.put("o/gated", gated);
    let nobody = home.fails(&["pull", "o/gated"]);
    assert!(
        nobody.contains("gated") && nobody.contains("HF_TOKEN") && nobody.contains("/o/gated"),
        "{nobody}"
    );
    fs::write(home.path.join("token"), "hf_wrong\n").unwrap();
    let stranger = home.fails(&["pull", "o/gated"]);
    assert!(
        stranger.contains("may not read o/gated") && stranger.contains("not on the list"),
        "{stranger}"
    );
    home.set("HF_TOKEN", " hf_right\n");
    let path = home.ok(&["pull", "o/gated"]);
    assert_eq!(fs::read(path).unwrap(), noise(1_000, 1));
    // The token goes to the hub, and not to where the hub sends us.
    let elsewhere = hub.asked("/cdn/");
    assert!(!elsewhere.is_empty());
    assert!(
        elsewhere
            .iter()
            .all(|asked| asked.is_elsewhere && !asked.headers.contains_key("authorization"))
    );
    let own = hub.asked("GET /o/gated/resolve");
    assert!(
        own.iter()
            .all(|asked| asked.headers["authorization"] == "Bearer hf_right")
    );
    assert!(
        !nobody.contains("hf_") && !stranger.contains("hf_wrong"),
        "no error shows a token"
    );
    hub.fail("GET /api/", [Fault::Status(401, vec![])]);
    let expired = home.fails(&["pull", "o/gated"]);
    assert!(expired.contains("does not accept the token"), "{expired}");
    home.set("HF_TOKEN", "hf\u{7f}x");
    assert!(
        home.fails(&["pull", "o/gated"])
            .contains("characters that no token has")
    );
}

#[test]
fn redirects_lead_somewhere_or_are_refused() {
    let (hub, home) = hub_with_file();
    let start = Instant::now();
    let circle = Fault::Redirect("/api/models/o/m/revision/main?blobs=true".into());
    hub.fail("GET /api/models/o/m/", [circle]);
    assert!(
        home.fails(&["pull", "o/m"])
            .contains("redirects without end")
    );
    for number in 0..20 {
        hub.fail(
            &format!("GET /hop/{number}x"),
            [Fault::Redirect(format!("/hop/{}x", number + 1))],
        );
    }
    hub.fail("GET /api/models/o/m/", [Fault::Redirect("/hop/0x".into())]);
    assert!(
        home.fails(&["pull", "o/m"])
            .contains("redirects without end (9 so far)")
    );
    for target in ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"] {
        hub.fail("GET /api/models/o/m/", [Fault::Redirect(target.into())]);
        let error = home.fails(&["pull", "o/m"]);
        assert!(
            error.contains("expected a redirect that leads to a file"),
            "{error}"
        );
    }
    // A repository that has moved within the hub.
    hub.fail(
        "HEAD /o/m/",
        [Fault::Redirect(format!(
            "/o/moved/resolve/{}/m.gguf",
            "a".repeat(40)
        ))],
    );
    hub.put("o/moved", Repo::new('a').large("m.gguf", noise(1_000, 1)));
    home.ok(&["pull", "o/m"]);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "none of them is tried twice"
    );
}

#[test]
fn what_is_no_hub_is_told_from_one() {
    let (hub, mut home) = hub_with_file();
    hub.fail("GET /api/", [Fault::Page]);
    let page = home.fails(&["pull", "o/m"]);
    assert!(
        page.contains("does not answer like a Hugging Face hub") && page.contains("a web page"),
        "{page}"
    );
    hub.fail("HEAD /o/m/", [Fault::Page]);
    let page = home.fails(&["pull", "o/m"]);
    assert!(page.contains("got a web page"), "{page}");
    hub.fail(
        "HEAD /o/m/",
        [Fault::Header("x-repo-commit", "b".repeat(40))],
    );
    let other = home.fails(&["pull", "o/m"]);
    assert!(other.contains("a file of the commit asked for"), "{other}");
    for endpoint in ["ftp://x", "nonsense", "http://"] {
        home.set("HF_ENDPOINT", endpoint);
        assert!(
            home.fails(&["pull", "o/m"]).contains("HF_ENDPOINT is"),
            "{endpoint}"
        );
    }
    // A port nobody listens on.
    home.set("HF_ENDPOINT", "http://127.0.0.1:1");
    let nobody = home.fails(&["pull", "o/m", "--retries", "1"]);
    assert!(
        nobody.contains("127.0.0.1:1") && nobody.contains("2 attempts"),
        "{nobody}"
    );
    home.set("HF_HUB_OFFLINE", "1");
    assert!(
        home.fails(&["pull", "o/m"])
            .contains("HF_HUB_OFFLINE is set")
    );
}

#[test]
fn hostile_paths_are_refused_before_anything_is_written() {
    for path in [
        "../../../evil.gguf",
        "/tmp/evil.gguf",
        "a/../../evil.gguf",
        "..\\evil.gguf",
        "a//b.gguf",
        "e\u{1b}[2J.gguf",
    ] {
        let hub = Hub::start();
        let home = Home::new(&hub);
        hub.put(
            "o/evil",
            Repo::new('a')
                .large(path, noise(10, 1))
                .large("fine.gguf", noise(10, 2)),
        );
        let error = home.fails(&["pull", "o/evil:fine"]);
        assert!(
            error.contains("not safe to write") && !error.contains('\u{1b}'),
            "{error}"
        );
        assert!(hub.asked("/resolve/").is_empty());
        assert!(!home.path.join("hub").exists(), "{path}");
    }
}

#[test]
fn hostile_names_of_contents_and_commits_are_refused() {
    let (hub, home) = hub_with_file();
    for etag in [
        "\"../../../../evil\"",
        "\"/tmp/evil\"",
        "\"..\"",
        "\"\"",
        "\"a b\"",
    ] {
        hub.fail("HEAD /o/m/", [Fault::Header("x-linked-etag", etag.into())]);
        let error = home.fails(&["pull", "o/m"]);
        assert!(
            error.contains("an ETag that can name a file"),
            "{etag}: {error}"
        );
    }
    for commit in ["../../../evil", "main", "", &"A".repeat(40)] {
        let hub = Hub::start();
        let home = Home::new(&hub);
        let repo = Repo {
            commit: commit.to_owned(),
            ..Repo::new('a')
        }
        .large("m.gguf", noise(10, 1));
        hub.put("o/m", repo);
        assert!(
            home.fails(&["pull", "o/m"]).contains("a commit of 40"),
            "{commit}"
        );
        assert!(!home.path.join("hub").exists());
    }
    let mut everything = Vec::new();
    let mut folders = vec![home.path.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                everything.push(path)
            }
        }
    }
    assert!(
        everything
            .iter()
            .all(|path| !path.display().to_string().contains("evil")),
        "{everything:?}"
    );
}

#[test]
fn a_full_disk_is_known_before_it_is_full() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let siblings = r#"[{"rfilename": "huge.gguf", "size": 1000000000000000000}]"#;
    let body = format!(r#"{{"sha": "{}", "siblings": {siblings}}}"#, "a".repeat(40));
    hub.put("o/m", Repo::new('a').small("body", body));
    // The listing is a file of the same server.
    hub.fail(
        "GET /api/",
        [Fault::Redirect(format!(
            "/o/m/resolve/{}/body",
            "a".repeat(40)
        ))],
    );
    let error = home.fails(&["pull", "o/m"]);
    assert!(
        error.contains("not enough disk space") && error.contains("909494.7 TiB still to fetch"),
        "{error}"
    );
    assert!(
        error.contains("tramontane rm") && error.contains("HF_HUB_CACHE"),
        "{error}"
    );
    assert!(hub.asked("huge.gguf").is_empty());
}
