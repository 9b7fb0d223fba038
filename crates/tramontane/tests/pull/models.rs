//! What a pull fetches, where it puts it, and that it runs from there.

use crate::home::{Home, fixture, noise};
use crate::server::{Hub, Repo};
use serde_json::Value;
use std::fs;

/// A checkpoint as its maker publishes it: twice, and with files nobody needs.
pub fn published() -> Repo {
    let mut repo = Repo::new('a')
        .small("README.md", "# read me")
        .small(".gitattributes", "x");
    for file in [
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
    ] {
        repo = repo.small(file, fixture(&format!("mistral4-tiny-f32/{file}")));
    }
    for part in 1..=3 {
        let file = format!("model-{part:05}-of-00003.safetensors");
        repo = repo.large(&file, fixture(&format!("mistral4-tiny-f32/{file}")));
    }
    repo.small("params.json", "{}")
        .large("tekken.json", noise(3000, 9))
        .large("consolidated-00001-of-00001.safetensors", noise(5000, 1))
        .large("training/optimizer.safetensors", noise(5000, 2))
}

#[test]
fn a_repository_is_fetched_once_and_runs_by_its_name() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let repo = published();
    hub.put("owner/model", repo.clone());
    let said = home.run(&["pull", "owner/model"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let folder = home.repo("owner/model");
    let snapshot = folder.join("snapshots").join(&repo.commit);
    assert_eq!(said.out.trim_end(), snapshot.display().to_string());
    assert!(
        said.err.contains("weights twice") && said.err.contains("owner/model:native"),
        "{}",
        said.err
    );
    assert_eq!(
        fs::read_to_string(folder.join("refs/main")).unwrap(),
        repo.commit
    );

    let mut there: Vec<String> = fs::read_dir(&snapshot)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let expected = [
        "config.json",
        "generation_config.json",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
        "tekken.json",
    ];
    assert_eq!(there, expected);
    for path in expected {
        let content = &repo.files[path];
        let link = fs::read_link(snapshot.join(path)).unwrap();
        assert_eq!(
            link.to_str().unwrap(),
            format!("../../blobs/{}", content.etag()),
            "{path}"
        );
        assert_eq!(
            fs::read(snapshot.join(path)).unwrap(),
            content.bytes,
            "{path}"
        );
    }

    // Nothing is fetched twice.
    let before = hub.asked("/resolve/").len();
    let again = home.run(&["pull", "owner/model"]);
    assert_eq!((again.code, again.out), (0, said.out));
    assert!(again.err.contains("0 B of it to fetch"), "{}", again.err);
    assert_eq!(hub.asked("/resolve/").len(), before);

    // It runs by its name, and no server is asked.
    let asked = hub.asked("").len();
    let report: Value =
        serde_json::from_str(&home.ok(&["inspect", "--json", "-m", "owner/model"])).unwrap();
    assert_eq!(report["architecture"], "mistral4");
    for name in [
        "owner/model:safetensors",
        "owner/model@main",
        "hf.co/owner/model",
    ] {
        home.ok(&["inspect", "--json", "-m", name]);
    }
    assert_eq!(hub.asked("").len(), asked);
}

/// GGUFs as they are published: in folders, in parts, with vision towers and statistics.
fn quantised() -> Repo {
    Repo::new('b')
        .small("README.md", "# read me")
        .small("config.json", "{}")
        .large("tiny-Q8_0.gguf", fixture("mistral4-q8_0.gguf"))
        .large("tiny-UD-Q4_K_XL.gguf", fixture("mistral4-q4_k.gguf"))
        .large("BF16/tiny-BF16-00001-of-00002.gguf", noise(4000, 3))
        .large("BF16/tiny-BF16-00002-of-00002.gguf", noise(4001, 4))
        .large("mmproj-F32.gguf", noise(900, 5))
        .large("mmproj-BF16.gguf", noise(901, 6))
        .large("imatrix.gguf", noise(902, 7))
}

#[test]
fn a_variant_is_picked_by_its_quantisation_with_its_vision_tower() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put("owner/gguf", quantised());
    let path = home.ok(&["pull", "owner/gguf:q8_0"]);
    assert!(
        path.ends_with(&format!("snapshots/{}/tiny-Q8_0.gguf", "b".repeat(40))),
        "{path}"
    );
    assert_eq!(fs::read(&path).unwrap(), fixture("mistral4-q8_0.gguf"));
    assert_eq!(
        home.leftovers("owner/gguf").len(),
        2,
        "the model and its vision tower"
    );
    let tower = std::path::Path::new(&path).with_file_name("mmproj-BF16.gguf");
    assert_eq!(fs::read(tower).unwrap(), noise(901, 6));
    home.ok(&["inspect", "-m", "owner/gguf:Q8_0", "--json"]);
    home.ok(&["inspect", "-m", "owner/gguf", "--json"]);

    let split = home.ok(&["pull", "owner/gguf:BF16"]);
    assert!(
        split.ends_with("BF16/tiny-BF16-00001-of-00002.gguf"),
        "{split}"
    );
    assert_eq!(
        fs::read(split.replace("00001-of", "00002-of")).unwrap(),
        noise(4001, 4)
    );
    // Two are here now: a name must say which.
    let several = home.fails(&["inspect", "-m", "owner/gguf"]);
    assert!(
        several.contains("owner/gguf:BF16") && several.contains("owner/gguf:Q8_0"),
        "{several}"
    );
    let absent = home.fails(&["inspect", "-m", "owner/gguf:Q4_K_XL"]);
    assert!(
        absent.contains("tramontane pull owner/gguf:Q4_K_XL"),
        "{absent}"
    );
    home.ok(&["pull", "owner/gguf:Q4_K_XL"]);
    home.ok(&["inspect", "-m", "owner/gguf:Q4_K_XL", "--json"]);
}

#[test]
fn a_vision_tower_that_was_pulled_is_used_and_a_broken_one_left_out() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let text = fixture("mistral4-tiny-f32.gguf");
    let tower = "mistral4-vision-f32-mmproj.gguf";
    let sees = Repo::new('a').large("m.gguf", text.clone());
    hub.put("o/sees", sees.large("mmproj-F32.gguf", fixture(tower)));
    let blind = Repo::new('a').large("m.gguf", text);
    hub.put("o/blind", blind.large("mmproj-F32.gguf", noise(100, 1)));
    let model = home.ok(&["pull", "o/sees"]);
    home.ok(&["pull", "o/blind"]);

    let goldens = fixtures.join("goldens/mistral4-vision-f32.score.jsonl");
    let images = ["--input", goldens.to_str().unwrap()];
    let tower = fixtures.join("models").join(tower);
    let named = ["score", "-m", &model, "--mmproj", tower.to_str().unwrap()];
    let scores = home.ok(&[&named[..], &images].concat());
    assert_eq!(
        home.ok(&[&["score", "-m", "o/sees"][..], &images].concat()),
        scores
    );
    assert!(
        home.fails(&[&["score", "-m", "o/blind"][..], &images].concat())
            .contains("no images, the vision tower cannot be used")
    );
    let ids = home.path.join("ids.jsonl");
    fs::write(&ids, r#"{"ids": [1, 2, 3]}"#).unwrap();
    home.ok(&["score", "-m", "o/blind", "--input", ids.to_str().unwrap()]);
}

#[test]
fn variants_that_do_not_fit_are_listed() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put("owner/gguf", quantised());
    hub.put("owner/none", Repo::new('c').small("README.md", "x"));
    let none = home.fails(&["pull", "owner/gguf:Q2_K"]);
    assert!(
        none.contains("no variant that fits `:Q2_K`") && none.contains("owner/gguf:Q8_0  (2"),
        "{none}"
    );
    let several = home.fails(&["pull", "owner/gguf"]);
    assert!(
        several.contains("3 variants") && several.contains("owner/gguf:UD-Q4_K_XL"),
        "{several}"
    );
    let empty = home.fails(&["pull", "owner/none"]);
    assert!(
        empty.contains("no model in a form that runs here"),
        "{empty}"
    );
    assert!(hub.asked("/resolve/").is_empty());
    let part = quantised().files["BF16/tiny-BF16-00001-of-00002.gguf"]
        .bytes
        .clone();
    hub.put(
        "owner/part",
        Repo::new('d').large("tiny-BF16-00001-of-00002.gguf", part),
    );
    let part = home.fails(&["pull", "owner/part"]);
    assert!(
        part.contains("lacks a part") && part.contains("tiny-BF16-00002-of-00002.gguf"),
        "{part}"
    );
}

#[test]
fn a_revision_is_pinned() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put(
        "owner/m",
        Repo::new('a').large("m.gguf", fixture("mistral4-q8_0.gguf")),
    );
    let path = home.ok(&["pull", "owner/m", "--revision", "v1.0"]);
    assert!(
        home.repo("owner/m").join("refs/v1.0").exists()
            && !home.repo("owner/m").join("refs/main").exists()
    );
    hub.put(
        "owner/m",
        Repo::new('b').large("m.gguf", fixture("mistral4-q4_0.gguf")),
    );
    let newer = home.ok(&["pull", "owner/m"]);
    assert_ne!(path, newer);
    assert_eq!(fs::read(&path).unwrap(), fixture("mistral4-q8_0.gguf"));
    let bytes = |name: &str| {
        let report: Value =
            serde_json::from_str(&home.ok(&["inspect", "-m", name, "--json"])).unwrap();
        report["formats"].to_string()
    };
    assert_eq!(bytes("owner/m@v1.0"), bytes(&path));
    assert_eq!(bytes("owner/m"), bytes(&newer));
    assert_eq!(bytes(&format!("owner/m@{}", "a".repeat(40))), bytes(&path));
    assert_ne!(bytes(&path), bytes(&newer));
    // A commit by its name leaves no note: it is one.
    hub.put("owner/n", Repo::new('c').large("m.gguf", noise(100, 1)));
    home.ok(&["pull", &format!("owner/n@{}", "c".repeat(40))]);
    assert!(!home.repo("owner/n").join("refs").exists());
    let twice = home.fails(&["pull", "owner/m@v1.0", "--revision", "main"]);
    assert!(twice.contains("named twice"), "{twice}");
}

#[test]
fn a_mirror_that_lists_no_sizes_serves_too() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    let repo = Repo {
        hides_sizes: true,
        ..published()
    };
    hub.put("owner/model", repo);
    let said = home.run(&["pull", "owner/model"]);
    assert_eq!(said.code, 0, "{}", said.err);
    home.ok(&["inspect", "--json", "-m", "owner/model"]);
}

#[test]
fn odd_file_names_survive_the_journey() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put(
        "owner/m",
        Repo::new('a').large("Näme with %20 & #1?-Q8_0.gguf", noise(500, 1)),
    );
    let path = home.ok(&["pull", "owner/m:Q8_0"]);
    assert!(path.ends_with("/Näme with %20 & #1?-Q8_0.gguf"), "{path}");
    assert_eq!(fs::read(path).unwrap(), noise(500, 1));
}

#[test]
fn scripts_get_events_and_quiet_is_quiet() {
    let hub = Hub::start();
    let home = Home::new(&hub);
    hub.put(
        "owner/m",
        Repo::new('a')
            .large("m.gguf", noise(300_000, 1))
            .large("mmproj-F16.gguf", noise(10, 2)),
    );
    hub.fail("GET /cdn/", [crate::server::Fault::Cut(100)]);
    let said = home.run(&["pull", "owner/m", "--json", "--jobs", "1"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let events: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named = |name: &str| {
        events
            .iter()
            .filter(|e| e["event"] == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(events[0]["event"], "plan");
    assert_eq!(
        (&events[0]["bytes"], &events[0]["missing_bytes"]),
        (&300_010.into(), &300_010.into())
    );
    assert_eq!((named("retry").len(), named("finished").len()), (1, 2));
    assert!(
        named("progress")
            .iter()
            .any(|e| e["bytes"] == 300_000 && e["size"] == 300_000)
    );
    let done = events.last().unwrap();
    assert_eq!(
        (&done["event"], &done["model"]),
        (&"done".into(), &"owner/m:m".into())
    );
    assert!(
        done["mmproj"]
            .as_str()
            .unwrap()
            .ends_with("mmproj-F16.gguf")
    );
    assert_eq!(done["fetched_bytes"], 300_010);

    let quiet = home.run(&["pull", "owner/m", "--quiet"]);
    assert_eq!(
        (quiet.code, quiet.err.as_str(), quiet.out.lines().count()),
        (0, "", 1)
    );
}
