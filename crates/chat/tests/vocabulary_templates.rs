//! Chat templates against `fixtures/vocabulary`: what transformers makes of the same conversations.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use chat::ChatError;
use chat::json::{self, Value};
use chat::template::{LocalTime, Template, TemplateInputs};

/// 2026-03-07 09:05:03.
const NOW: LocalTime = LocalTime {
    seconds: 1_772_874_303,
};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/vocabulary")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines(name: &str) -> Vec<Value> {
    fixture(name)
        .lines()
        .map(|line| json::parse(line).unwrap())
        .collect()
}

fn field<'a>(row: &'a Value, name: &str) -> Option<&'a Value> {
    row.as_object().unwrap().get(name)
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    field(row, name).and_then(Value::as_str).unwrap()
}

fn render(source: &str, arguments: &Value) -> Result<String, ChatError> {
    let list = |name| field(arguments, name).and_then(Value::as_array);
    let known = ["messages", "tools", "add_generation_prompt"];
    let others = arguments
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !known.contains(name));
    let extra: Vec<(String, Value)> = others
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    Template::new(source)?.render(&TemplateInputs {
        messages: list("messages").unwrap_or_default(),
        tools: list("tools"),
        add_generation_prompt: field(arguments, "add_generation_prompt")
            == Some(&Value::Bool(true)),
        bos_token: Some("<s>"),
        eos_token: Some("</s>"),
        extra: &extra,
        now: NOW,
    })
}

/// Compares with a golden row: the same prompt, or an error on both sides.
fn disagreement(source: &str, arguments: &Value, row: &Value) -> Option<String> {
    let ours = render(source, arguments);
    let theirs = field(row, "prompt").and_then(Value::as_str);
    match (&ours, theirs) {
        (Ok(ours), Some(theirs)) if ours == theirs => None,
        (Err(_), None) => None,
        _ => Some(format!(
            "{source}\n  ours   {ours:?}\n  theirs {theirs:?} {:?}",
            field(row, "error")
        )),
    }
}

#[test]
fn real_templates_render_as_in_transformers() {
    let rows = lines("templates.jsonl");
    let mut refused = 0;
    for row in &rows {
        let name = text(row, "template");
        let source = fixture(&format!("templates/{name}"));
        let difference = disagreement(&source, field(row, "arguments").unwrap(), row);
        assert_eq!(
            difference,
            None,
            "{name} {}",
            field(row, "arguments").unwrap().dumps()
        );
        refused += usize::from(field(row, "error").is_some());
    }
    assert!(
        rows.len() >= 60 && refused >= 8,
        "{} rows, {refused} refused",
        rows.len()
    );
}

#[test]
fn expressions_print_as_in_python() {
    let rows = lines("expressions.jsonl");
    let variables = field(&rows[0], "variables").unwrap();
    let wrong: Vec<String> = rows[1..]
        .iter()
        .filter_map(|row| disagreement(text(row, "template"), variables, row))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Parts of Jinja that no chat template seen so far uses are errors with a name and a line, never other text.
#[test]
fn what_is_not_supported_is_an_error_that_names_it() {
    for (source, words) in [
        ("a\n{{ 'x'.swapcase() }}", ["line 2", "swapcase"]),
        ("{{ '%s' % ('a', 1) }}", ["line 1", "%"]),
        ("{{ 'x' | wordcount }}", ["line 1", "wordcount"]),
        ("{{ strftime_now('%Q') }}", ["line 1", "%Q"]),
        ("\n\n{% include 'other' %}", ["line 3", "include"]),
        ("{{ x", ["line 1", "end"]),
    ] {
        let message = render(source, &json::parse("{}").unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{source}: {message}"
        );
    }
}

#[test]
fn a_refusal_is_the_templates_own_words() {
    let error = render(
        "{{ raise_exception('no tools here') }}",
        &json::parse("{}").unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(&error, ChatError::InvalidRequest(message) if message.contains("no tools here")),
        "{error:?}"
    );
}

#[test]
fn a_hostile_template_ends_soon_with_an_error() {
    let nested_loops =
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}".to_owned();
    let doubling = format!(
        "{{% set x = 'aaaaaaaa' %}}{}",
        "{% set x = x ~ x %}".repeat(60)
    );
    let repeated = "{{ ('a' * 99999999) ~ ('b' * 99999999) }}".to_owned();
    let recursion = "{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}".to_owned();
    let shared = format!(
        "{{% set x = [1] %}}{}{{{{ x | tojson }}}}",
        "{% set x = [x, x] %}".repeat(60)
    );
    let deep = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned();
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let blocks = "{% if x %}".repeat(100_000);
    let wide = "{% for a in range(99999) %}{{ 'a' * 9999 }}{% endfor %}".to_owned();
    for (name, source) in [
        ("nested loops", nested_loops),
        ("doubling", doubling),
        ("repeated", repeated),
        ("recursion", recursion),
        ("shared", shared),
        ("deep in one go", "{% set ns = namespace(x=[]) %}{% for j in range(999) %}{% for i in range(9999) %}{% set ns.x = [[[[[[[[[[ns.x]]]]]]]]]] %}{% endfor %}{% endfor %}".to_owned()),
        ("deep maps", deep.replace("[ns.x]", "namespace(a=ns.x)").replace("99999", "9999") .replace("{% for", "{% for j in range(99) %}{% for") + "{% endfor %}"),
        ("deep printed", format!("{deep}{{{{ ns.x | tojson }}}}")),
        ("parentheses", parentheses),
        ("blocks", blocks),
        ("wide", wide),
    ] {
        let start = std::time::Instant::now();
        let result = render(&source, &json::parse("{}").unwrap());
        assert!(
            matches!(result, Err(ChatError::Template(_))),
            "{name}: {:?}",
            result.map(|text| text.len())
        );
        assert!(
            start.elapsed().as_secs() < 10,
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_long_conversation_has_a_budget_to_match() {
    let message = format!(
        r#"{{"role": "user", "content": "{}"}}"#,
        "word ".repeat(400_000)
    );
    let arguments = json::parse(&format!(
        r#"{{"messages": [{}]}}"#,
        vec![message; 11].join(",")
    ))
    .unwrap();
    for name in ["llama3.jinja", "qwen.jinja"] {
        let template = fixture(&format!("templates/{name}"));
        let prompt = render(&template, &arguments).unwrap();
        assert!(prompt.len() > 20_000_000, "{name}");
    }
}
