//! Tests of [`super`]: repositories as they are published.

use super::*;
use proptest::prelude::*;

fn listed(paths: &[&str]) -> Vec<Listed> {
    paths
        .iter()
        .map(|path| Listed {
            path: (*path).to_owned(),
            size: Some(10),
        })
        .collect()
}

fn labels(paths: &[&str]) -> Vec<String> {
    forms(&listed(paths))
        .into_iter()
        .map(|form| form.label)
        .collect()
}

fn chosen(paths: &[&str], variant: Option<&str>) -> Result<Form, String> {
    choose(&forms(&listed(paths)), variant, "o/r")
        .cloned()
        .map_err(|e| e.to_string())
}

/// The maker's repository: the weights twice.
const BOTH: [&str; 12] = [
    ".gitattributes",
    "README.md",
    "SYSTEM_PROMPT.txt",
    "chat_template.jinja",
    "config.json",
    "consolidated-00001-of-00001.safetensors",
    "consolidated.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "params.json",
    "tekken.json",
];

#[test]
fn of_two_copies_the_hugging_face_one_is_taken() {
    let form = chosen(&BOTH, None).unwrap();
    assert_eq!(form.kind, Kind::HuggingFace);
    let mut files = form.files;
    files.sort();
    let expected = [
        "SYSTEM_PROMPT.txt",
        "chat_template.jinja",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tekken.json",
    ];
    assert_eq!(files, expected);
    for variant in ["native", "Consolidated"] {
        let form = chosen(&BOTH, Some(variant)).unwrap();
        assert!(form.files.contains(&"params.json".to_owned()));
        assert!(
            !form
                .files
                .iter()
                .any(|path| path.starts_with("model") || path == "config.json")
        );
    }
    assert_eq!(labels(&BOTH), ["safetensors", "native"]);
}

#[test]
fn a_native_repository_needs_no_config() {
    let files = [
        "params.json",
        "tekken.json",
        "consolidated.safetensors",
        "README.md",
    ];
    assert_eq!(chosen(&files, None).unwrap().kind, Kind::Native);
}

#[test]
fn quantisations_are_read_from_names() {
    for (stem, expected) in [
        ("Mistral-Small-4-119B-2603-Q4_K_M", Some("Q4_K_M")),
        ("Mistral-Small-4-119B-2603-UD-Q4_K_XL", Some("UD-Q4_K_XL")),
        ("mistral-7b-v0.1.q8_0", Some("q8_0")),
        ("model_Q5_K_S", Some("Q5_K_S")),
        ("Qwen3-4B-IQ2_XXS", Some("IQ2_XXS")),
        ("Qwen3-4B", None),
        ("x-MXFP4_MOE", Some("MXFP4_MOE")),
        ("x-TQ1_0", Some("TQ1_0")),
        ("BF16", Some("BF16")),
        ("x-Q4_K_M-imat", Some("Q4_K_M")),
        ("x-f16", Some("f16")),
        ("naïve-é", None),
    ] {
        assert_eq!(quantisation(stem).as_deref(), expected, "{stem}");
    }
}

#[test]
fn a_quantisation_picks_its_files() {
    let files = [
        "BF16/m-BF16-00001-of-00002.gguf",
        "BF16/m-BF16-00002-of-00002.gguf",
        "README.md",
        "config.json",
        "imatrix_unsloth.gguf",
        "m-Q4_K_M.gguf",
        "m-UD-Q4_K_XL.gguf",
        "mmproj-BF16.gguf",
        "mmproj-F16.gguf",
        "mmproj-F32.gguf",
        "tekken.json",
    ];
    assert_eq!(labels(&files), ["BF16", "Q4_K_M", "UD-Q4_K_XL"]);
    let form = chosen(&files, Some("q4_k_m")).unwrap();
    assert_eq!(form.first.as_deref(), Some("m-Q4_K_M.gguf"));
    assert_eq!(form.mmproj.as_deref(), Some("mmproj-BF16.gguf"));
    assert_eq!(
        form.files,
        ["m-Q4_K_M.gguf", "mmproj-BF16.gguf", "tekken.json"]
    );
    assert_eq!(form.bytes, Some(30));
    let split = chosen(&files, Some("bf16")).unwrap();
    assert_eq!(
        split.first.as_deref(),
        Some("BF16/m-BF16-00001-of-00002.gguf")
    );
    assert_eq!(
        split.files.len(),
        3,
        "two parts and the vision tower: {:?}",
        split.files
    );
    assert!(split.missing.is_empty());
    assert_eq!(chosen(&files, Some("Q4_K_XL")).unwrap().label, "UD-Q4_K_XL");
    assert_eq!(
        chosen(&files, Some("m-Q4_K_M.gguf")).unwrap().label,
        "Q4_K_M"
    );
    let none = chosen(&files, Some("Q2_K")).unwrap_err();
    assert!(
        none.contains("no variant that fits `:Q2_K`") && none.contains("o/r:UD-Q4_K_XL  (30 B)"),
        "{none}"
    );
    let several = chosen(&files, None).unwrap_err();
    assert!(
        several.contains("3 variants") && several.contains("o/r:BF16"),
        "{several}"
    );
}

#[test]
fn models_that_share_a_quantisation_are_told_apart_by_name() {
    let files = ["a-Q8_0.gguf", "b-Q8_0.gguf", "a-Q4_0.gguf"];
    assert_eq!(labels(&files), ["Q4_0", "a-Q8_0", "b-Q8_0"]);
    let several = chosen(&files, Some("Q8_0")).unwrap_err();
    assert!(
        several.contains("o/r:b-Q8_0") && !several.contains("Q4_0"),
        "{several}"
    );
    assert_eq!(
        chosen(&files, Some("b-q8_0")).unwrap().first.as_deref(),
        Some("b-Q8_0.gguf")
    );
}

#[test]
fn the_only_gguf_needs_no_variant_and_a_folder_may_name_it() {
    assert_eq!(chosen(&["m.gguf"], None).unwrap().label, "m");
    let files = [
        "Q6_K/model-00001-of-00002.gguf",
        "Q8_0/model-00001-of-00001.gguf",
    ];
    assert_eq!(labels(&files), ["Q6_K", "Q8_0"]);
    let form = chosen(&files, Some("Q6_K")).unwrap();
    assert_eq!(form.missing, ["Q6_K/model-00002-of-00002.gguf"]);
}

#[test]
fn a_repository_without_a_model_is_said_to_be_one() {
    for files in [
        &["README.md"][..],
        &["config.json"],
        &["model.safetensors"],
        &[],
    ] {
        assert!(
            chosen(files, None)
                .unwrap_err()
                .contains("no model in a form"),
            "{files:?}"
        );
    }
}

#[test]
fn one_copy_of_the_hugging_face_weights_is_enough() {
    let files = [
        "config.json",
        "model.safetensors",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
    ];
    let form = chosen(&files, None).unwrap();
    assert!(!form.files.contains(&"model.safetensors".to_owned()));
    let single = ["config.json", "model.safetensors", "adapter.safetensors"];
    assert_eq!(
        chosen(&single, None).unwrap().files,
        ["config.json", "model.safetensors"]
    );
}

#[test]
fn a_promise_of_very_many_parts_costs_little() {
    let form = chosen(&["m-Q8_0-00001-of-09999.gguf"], None).unwrap();
    assert_eq!(form.missing.len(), 1000);
    assert_eq!(
        chosen(&["m-Q8_0-00001-of-99999.gguf"], None)
            .unwrap()
            .missing
            .len(),
        0
    );
}

proptest! {
    /// Names come from servers: none may be too odd, and a form never has a file that is not there.
    #[test]
    fn any_names_give_forms_of_these_files_only(
        paths in prop::collection::vec(r"(|UD-|é/|Q8_0/)(m|model|consolidated|mmproj|é)?(-|_|\.)?(UD-)?(Q4_K_M|f16|ü)?(-0000[0-9]-of-0000[0-9])?\.(gguf|safetensors|json)|[\PC/]{1,12}", 0..12),
        variant in prop::option::of("(Q4_K_M|native|hf|f16|\\PC{1,8})"),
    ) {
        let files = listed(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let forms = forms(&files);
        for form in &forms {
            prop_assert!(form.files.iter().chain(&form.first).chain(&form.mmproj).all(|path| paths.contains(path)));
            prop_assert!(form.missing.iter().all(|path| !paths.contains(path)));
        }
        // Every label picks a form; what else is asked for picks one or is refused in words.
        for form in &forms {
            prop_assert!(choose(&forms, Some(&form.label), "o/r").is_ok() || forms.iter().filter(|f| f.label.eq_ignore_ascii_case(&form.label)).count() > 1);
        }
        let _ = choose(&forms, variant.as_deref(), "o/r").map_err(|e| e.to_string());
    }
}
