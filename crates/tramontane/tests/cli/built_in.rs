//! The model that is built in: every command takes it where none is named, and it is the one in `models/mini`.

use crate::support::{failure, root, stdout};
use serde_json::Value;

/// A prompt of effort none, as ids: tokenised once by the built-in model.
fn input() -> String {
    let path =
        std::env::temp_dir().join(format!("tramontane-built-in-{}.jsonl", std::process::id()));
    let ids = stdout(
        &[
            "tokenize",
            "Monday was the day when Emily asked for twelve green boxes.",
        ],
        "",
    );
    std::fs::write(&path, ids).unwrap();
    path.display().to_string()
}

#[test]
fn it_is_the_model_of_the_folder() {
    let folder = root().join("models/mini").display().to_string();
    let input = input();
    let score = |model: &[&str]| {
        stdout(
            &[&["score", "-q", "--top", "5", "--input", &input], model].concat(),
            "",
        )
    };
    assert_eq!(score(&[]), score(&["-m", &folder]));
    assert_eq!(score(&[]), score(&["-m", "mini"]));
    std::fs::remove_file(&input).unwrap();
}

#[test]
fn it_answers_and_gives_the_same_answer_again() {
    let ask = || {
        stdout(
            &[
                "run",
                "-q",
                "--effort",
                "high",
                "--max-tokens",
                "300",
                "What is 7 + 5?",
            ],
            "",
        )
    };
    let answer = ask();
    assert!(!answer.trim().is_empty());
    assert_eq!(answer, ask());
}

#[test]
fn it_sees() {
    let chart = root().join("docs/images/chart.png").display().to_string();
    let answer = stdout(
        &[
            "run",
            "-q",
            "--max-tokens",
            "100",
            "--image",
            &chart,
            "Read the bar chart.",
        ],
        "",
    );
    assert!(!answer.trim().is_empty());
}

#[test]
fn it_is_inspected_and_has_no_file_for_its_tower() {
    let report: Value = serde_json::from_str(&stdout(&["inspect", "--json"], "")).unwrap();
    assert_eq!(report["path"], "mini");
    assert_eq!(report["architecture"], "mistral4");
    let message = failure(&["run", "-q", "--mmproj", "tower.gguf", "Hello"], 1);
    assert!(
        message.contains("--mmproj goes with a .gguf file"),
        "{message}"
    );
}
