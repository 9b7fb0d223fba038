//! Bodies that are not what they seem, schemas that burst, and memory that refusals take.

use super::{CHAT, is_refused, withstands};
use crate::server::Server;
use serde_json::{Value, json};

fn message(content: &str) -> String {
    format!("{{\"messages\": [{{\"role\": \"user\", \"content\": {content}}}], \"max_tokens\": 1}}")
}

#[test]
fn bodies_that_are_not_what_they_seem() {
    let mut server = Server::start(&["--max-body", "4MiB"]);
    let deep = |depth: usize, open: &str, close: &str| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let many_keys: Vec<String> = (0..100_000).map(|i| format!("\"k{i}\": 0")).collect();
    let random: Vec<u8> = (0..100_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let bodies = [
        deep(100_000, "[", "]"),
        deep(100_000, "{\"a\":", "}"),
        message(&deep(50_000, "[", "]")),
        format!("{{\"messages\": {}}}", "[".repeat(1 << 20)),
        format!("{{\"a\": {}, \"messages\": []}}", "9".repeat(1 << 20)),
        format!(
            "{{\"temperature\": 0.{}1, \"messages\": []}}",
            "0".repeat(1 << 20)
        ),
        format!("{{{}}}", many_keys.join(",")),
        format!("{{{}}}", vec!["\"messages\": 1"; 50_000].join(",")),
        message(&format!("\"{}\"", "\\ud800".repeat(100_000))),
        message("\"\\u0000\\uffff\"").replace("user", "user\\u0000"),
        message("\"a\"").replace("max_tokens\": 1", "max_tokens\": NaN"),
        message("\"a\"").replace("max_tokens\": 1", "max_tokens\": 1,"),
        format!("\u{feff}{}x", message("\"a\"")),
        "\"".repeat(1 << 20),
        "\\".repeat(1 << 20),
        " ".repeat(1 << 20),
    ];
    withstands(&mut server, |server| {
        for body in &bodies {
            let shown: String = body.chars().take(60).collect();
            is_refused(&server.post_with(CHAT, body.as_bytes(), ""), &shown);
        }
        for invalid in [
            &random[..],
            b"{\"messages\": \"\xff\"}",
            b"{\"\xc0\x80\": 1}",
            b"\xed\xa0\x80",
            b"\x00\x00\x00{",
        ] {
            is_refused(&server.post_with(CHAT, invalid, ""), "no UTF-8");
        }
    });
}

#[test]
fn schemas_and_patterns_that_burst_are_kept_or_refused() {
    let mut server = Server::start(&["--max-body", "4MiB"]);
    let wide: serde_json::Map<String, Value> = (0..2000)
        .map(|i| (format!("p{i}"), json!({"type": "string"})))
        .collect();
    let deep = (0..100).fold(
        json!({"type": "null"}),
        |inner, _| json!({"type": "object", "properties": {"a": inner}, "required": ["a"]}),
    );
    let schemas = [
        json!({"$ref": "#"}),
        json!({"$ref": "http://169.254.169.254/latest"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"type": "string", "pattern": "(a|a)*".repeat(2000)}),
        json!({"type": "string", "minLength": 4_000_000_000u64}),
        json!({"type": "array", "minItems": 4_000_000_000u64}),
        json!({"type": "number", "multipleOf": 1e-300}),
        json!({"type": "object", "properties": wide, "required": ["p0"]}),
        json!({"anyOf": vec![json!({"type": "object"}); 3000]}),
        json!({"allOf": vec![json!({"anyOf": [{"minimum": 1}, {"maximum": 2}]}); 30]}),
        json!({"enum": (0..20_000).collect::<Vec<u32>>()}),
        deep,
    ];
    let mut bodies: Vec<Value> = schemas
        .iter()
        .map(|schema| {
            let named = json!({"name": "a", "schema": schema, "strict": true});
            json!({"response_format": {"type": "json_schema", "json_schema": named}})
        })
        .collect();
    for pattern in [
        "(a*)*".repeat(5000),
        "(x{1000}){1000}".to_owned(),
        "a{1000000000}".to_owned(),
    ] {
        bodies.push(json!({"guided_regex": pattern}));
    }
    bodies.push(json!({"guided_grammar": "start: start start | \"a\"\n"}));
    bodies.push(json!({"guided_grammar": format!("start: {}\"a\"{}\n", "(".repeat(50_000), ")".repeat(50_000))}));
    withstands(&mut server, |server| {
        for body in &bodies {
            let mut body = body.clone();
            body["messages"] = json!([{"role": "user", "content": "a"}]);
            body["max_tokens"] = json!(2);
            let answer = server.post(CHAT, &body);
            let shown: String = body.to_string().chars().take(120).collect();
            if answer.status != 200 {
                is_refused(&answer, &shown);
            }
        }
    });
}

#[test]
fn refusals_keep_no_memory() {
    let mut server = Server::start(&["--max-body", "2MiB"]);
    let large = message(&format!("\"{}\"", "a ".repeat(500_000)));
    withstands(&mut server, |server| {
        for _ in 0..25 {
            is_refused(&server.post_with(CHAT, large.as_bytes(), ""), "too long");
        }
    });
}
