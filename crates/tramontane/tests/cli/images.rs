//! Images through the binary: from files to log-probabilities, against the makers' own code.

use crate::support::{failure, fixture, root, stdout, tramontane};
use serde_json::{Value, json};

/// The bar for F32 weights.
const BAR: f64 = 3e-4;

fn goldens() -> String {
    let path = root().join("fixtures/goldens/mistral4-vision-f32.score.jsonl");
    path.display().to_string()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// `score`s the goldens with more flags.
fn scored(flags: &[&str]) -> String {
    let (model, input) = (fixture("mistral4-vision-f32"), goldens());
    let args = [
        "score",
        "-q",
        "-m",
        &model,
        "--kv-type",
        "f32",
        "--top",
        "8",
        "--input",
        &input,
    ];
    stdout(&[&args[..], flags].concat(), "")
}

#[test]
fn image_files_score_as_in_the_makers_code() {
    let expected = lines(&std::fs::read_to_string(goldens()).unwrap());
    let got = lines(&scored(&[]));
    assert_eq!(expected.len(), got.len());
    for (expected, got) in expected.iter().zip(&got) {
        let values = |line: &Value| -> Vec<f64> {
            line["logprobs"].as_array().unwrap()[1..]
                .iter()
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        for (expected, got) in values(expected).iter().zip(values(got)) {
            assert!((expected - got).abs() <= BAR, "{expected} against {got}");
        }
        assert_eq!(expected["last_top"][0][0], got["last_top"][0][0]);
    }
}

#[test]
fn nothing_but_the_request_changes_a_score() {
    let expected = scored(&[]);
    for flags in [
        &["--batch", "1", "--step-tokens", "3"][..],
        &["--batch", "3", "--threads", "1"],
        &["--isa", "scalar"],
    ] {
        assert_eq!(scored(flags), expected, "{flags:?}");
    }
}

#[test]
fn images_and_image_tokens_have_to_match() {
    let model = fixture("mistral4-vision-f32");
    let whole = &lines(&std::fs::read_to_string(goldens()).unwrap())[0];
    let url = whole["images"][0].as_str().unwrap();
    let cut = format!("data:image/png;base64,{}", &url[22..222]);
    let cases = [
        (
            json!({"ids": [1, 2], "images": [url]}),
            "images[0] has more rows",
        ),
        (
            json!({"ids": [1, 10, 10, 2], "images": [url, url]}),
            "images[0] has more rows",
        ),
        (
            json!({"ids": whole["ids"], "images": [cut]}),
            "images[0]: the PNG image of 70 x 41 pixels",
        ),
        (
            json!({"ids": whole["ids"], "images": ["data:image/png;base64,AAAA"]}),
            "images[0]",
        ),
        (
            json!({"ids": whole["ids"], "images": ["https://example.org/a.png"]}),
            "images[0]",
        ),
    ];
    for (line, expected) in cases {
        let output = tramontane(
            &["score", "-q", "-m", &model, "--input", "-"],
            &line.to_string(),
        );
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains(expected), "{expected} is not in: {stderr}");
    }
}

#[test]
fn a_vision_file_goes_with_a_gguf_of_its_width() {
    let (gguf, input) = (fixture("mistral4-tiny-f32.gguf"), goldens());
    let (tower, wide) = (
        fixture("mistral4-vision-f32-mmproj.gguf"),
        fixture("pixtral-vision-f32-mmproj.gguf"),
    );
    let score = |model: &str, tower: &str| {
        ["score", "-m", model, "--mmproj", tower, "--input", &input].map(str::to_owned)
    };
    let run = |args: [String; 7]| failure(&args.each_ref().map(String::as_str), 1);
    let args = score(&gguf, &tower);
    assert_eq!(
        lines(&stdout(&args.each_ref().map(String::as_str), "")).len(),
        3
    );
    assert!(run(score(&gguf, &wide)).contains("pixtral-vision-f32-mmproj.gguf"));
    assert!(
        run(score(&fixture("mistral4-vision-f32"), &tower))
            .contains("--mmproj goes with a .gguf file")
    );
    let without = failure(&["score", "-q", "-m", &gguf, "--input", &input], 1);
    assert!(without.contains("--mmproj"), "{without}");
}
