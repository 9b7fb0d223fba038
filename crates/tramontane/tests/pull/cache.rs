//! The cache: what is in it is listed, found and removed, whoever put it there.

use crate::digests::sha256;
use crate::home::{Home, fixture, noise};
use crate::models::published;
use crate::server::{Hub, Repo};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn listed(home: &Home) -> Vec<Value> {
    home.ok(&["list", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_list_tells_what_is_there() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    assert!(home.ok(&["list"]).starts_with("no models in "));
    hub.put("owner/model", published());
    hub.put(
        "owner/gguf",
        Repo::new('b').large("m-Q8_0.gguf", fixture("mistral4-q8_0.gguf")),
    );
    home.ok(&["pull", "owner/model"]);
    home.ok(&["pull", "owner/gguf"]);
    let table = home.ok(&["list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].starts_with("NAME") && lines[0].ends_with("PATH"),
        "{table}"
    );
    for part in [
        "owner/gguf ",
        " Q8_0 ",
        " main ",
        " 233.0 KiB ",
        " just now ",
        "/m-Q8_0.gguf",
    ] {
        assert!(lines[1].contains(part), "{part}: {table}");
    }
    let models = listed(&home);
    assert_eq!(
        (models[1]["name"].as_str(), models[1]["variant"].as_str()),
        (Some("owner/model"), Some("safetensors"))
    );
    assert_eq!(models[1]["complete"], true);
    assert_eq!(models[1]["revisions"][0], "main");
    // A shard that is gone is noticed.
    fs::remove_file(home.repo("owner/model").join(format!(
        "snapshots/{}/model-00002-of-00003.safetensors",
        "a".repeat(40)
    )))
    .unwrap();
    assert_eq!(listed(&home)[1]["complete"], false);
    let error = home.fails(&["inspect", "-m", "owner/model"]);
    assert!(
        error.contains("model-00002-of-00003.safetensors is missing")
            && error.contains("tramontane pull owner/model"),
        "{error}"
    );
    home.ok(&["pull", "owner/model"]);
    home.ok(&["inspect", "-m", "owner/model", "--json"]);
}

#[test]
fn names_that_were_not_pulled_say_how_to() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let error = home.fails(&["inspect", "-m", "owner/model:Q4_K_M"]);
    assert!(
        error.contains("Fetch it with: tramontane pull owner/model:Q4_K_M"),
        "{error}"
    );
    let error = home.fails(&["inspect", "-m", "models/typo.gguf"]);
    assert!(
        error.contains("there is no file or directory models/typo.gguf"),
        "{error}"
    );
    assert!(hub.asked("").is_empty());
}

#[test]
fn a_path_wins_over_a_name() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put("owner/model", published());
    home.ok(&["pull", "owner/model"]);
    let folder = home.path.join("owner/model");
    fs::create_dir_all(&folder).unwrap();
    let output = home
        .command(&["inspect", "-m", "owner/model"])
        .current_dir(&home.path)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("no config.json here"),
        "the empty folder is meant: {error}"
    );
}

#[test]
fn removing_a_variant_frees_what_no_other_uses() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let repo = Repo::new('a')
        .large("m-Q8_0.gguf", noise(100_000, 1))
        .large("m-Q4_0.gguf", noise(50_000, 2))
        .large("mmproj-F16.gguf", noise(10_000, 3));
    hub.put("o/m", repo.clone());
    home.ok(&["pull", "o/m:Q8_0"]);
    home.ok(&["pull", "o/m:Q4_0"]);
    // A newer commit in which one of them is the same.
    hub.put(
        "o/m",
        Repo {
            commit: "b".repeat(40),
            ..repo
        }
        .large("m-Q4_0.gguf", noise(50_001, 4)),
    );
    home.ok(&["pull", "o/m:Q8_0"]);
    assert_eq!(home.leftovers("o/m").len(), 3);

    let unsure = home.fails(&["rm", "o/m:Q8_0@x"]);
    assert!(unsure.contains("no variant"), "{unsure}");
    let unasked = home.fails(&["rm", "o/m:Q4_0"]);
    assert!(
        unasked.contains("--yes") && home.leftovers("o/m").len() == 3,
        "{unasked}"
    );
    let said = home.ok(&["rm", "o/m:Q4_0", "--yes"]);
    assert_eq!(said, "removed o/m:Q4_0: 48.8 KiB freed");
    assert_eq!(
        home.leftovers("o/m").len(),
        2,
        "its vision tower is used by the other variant"
    );
    // The old commit: its content is the new one's too.
    let old = "a".repeat(40);
    let said = home.ok(&["rm", &format!("o/m@{old}"), "--yes"]);
    assert!(said.contains("0 B freed (107.4 KiB of it stay"), "{said}");
    assert!(!home.repo("o/m").join("snapshots").join(old).exists());
    assert_eq!(
        fs::read(home.ok(&["pull", "o/m:Q8_0"])).unwrap(),
        noise(100_000, 1)
    );
    let said = home.ok(&["rm", "o/m", "--yes"]);
    assert_eq!(said, "removed o/m: 107.4 KiB freed");
    assert!(!home.repo("o/m").exists());
    assert!(
        home.fails(&["rm", "o/m", "--yes"])
            .contains("not in the cache")
    );
}

#[test]
fn what_is_being_fetched_is_not_removed() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put("o/m", Repo::new('a').large("m.gguf", noise(1_000, 1)));
    home.ok(&["pull", "o/m"]);
    let etag = sha256(&noise(1_000, 1));
    let lock = fs::File::open(
        home.path
            .join(format!("hub/.locks/models--o--m/{etag}.lock")),
    )
    .unwrap();
    lock.lock().unwrap();
    let error = home.fails(&["rm", "o/m", "--yes"]);
    assert!(
        error.contains("being downloaded by another process"),
        "{error}"
    );
    assert_eq!(home.leftovers("o/m"), [etag]);
    drop(lock);
    home.ok(&["rm", "o/m", "--yes"]);
}

/// What the Python library writes since it keeps one copy for several repositories.
fn share(home: &Home, repos: &[&str], content: &[u8]) -> std::path::PathBuf {
    let (hub, hash) = (home.path.join("hub"), sha256(b"any 64 digits"));
    let store = hub.join("blobs").join(&hash[..2]).join(&hash);
    fs::create_dir_all(store.parent().unwrap()).unwrap();
    fs::write(hub.join("blobs/.huggingface-shared-blobs"), "1\n").unwrap();
    fs::write(&store, content).unwrap();
    let mut references = String::new();
    for name in repos {
        let (folder, etag, commit) = (home.repo(name), sha256(content), "a".repeat(40));
        for part in ["blobs", "refs", &format!("snapshots/{commit}")] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        symlink(
            Path::new("../../blobs").join(&hash[..2]).join(&hash),
            folder.join("blobs").join(&etag),
        )
        .unwrap();
        symlink(
            format!("../../blobs/{etag}"),
            folder.join(format!("snapshots/{commit}/m-Q8_0.gguf")),
        )
        .unwrap();
        fs::write(folder.join("refs/main"), commit).unwrap();
        references.push_str(&format!(
            "models--{}/blobs/{etag}\n",
            name.replace('/', "--")
        ));
    }
    fs::write(store.with_file_name(format!("{hash}.refs")), references).unwrap();
    store
}

#[test]
fn a_content_that_repositories_share_goes_with_the_last_of_them() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let content = fixture("mistral4-q8_0.gguf");
    let store = share(&home, &["o/one", "o/two"], &content);
    home.ok(&["inspect", "--json", "-m", "o/one:Q8_0"]);
    assert_eq!(
        home.ok(&["rm", "o/one", "--yes"]),
        "removed o/one: 0 B freed"
    );
    assert!(store.exists());
    home.ok(&["inspect", "--json", "-m", "o/two"]);
    // Pulling what is here already brings nothing.
    hub.put("o/two", Repo::new('a').large("m-Q8_0.gguf", content));
    home.ok(&["pull", "o/two"]);
    assert!(hub.asked("/cdn/").is_empty());
    assert_eq!(
        home.ok(&["rm", "o/two", "--yes"]),
        "removed o/two: 233.0 KiB freed"
    );
    assert!(!store.exists());
}

#[test]
fn links_that_lead_out_of_the_cache_are_not_followed_by_rm() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let precious = home.path.join("precious");
    fs::write(&precious, "keep me").unwrap();
    let snapshot = home
        .repo("o/m")
        .join(format!("snapshots/{}", "a".repeat(40)));
    fs::create_dir_all(&snapshot).unwrap();
    symlink("../../../../precious", snapshot.join("m-Q8_0.gguf")).unwrap();
    symlink(&home.path, snapshot.join("folder")).unwrap();
    home.ok(&["rm", "o/m", "--yes"]);
    assert_eq!(fs::read_to_string(precious).unwrap(), "keep me");
    assert!(!home.repo("o/m").exists());
}
