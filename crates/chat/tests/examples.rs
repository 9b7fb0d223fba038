//! Conversations to read: what each becomes under version 15, as text with the control tokens shown, and as ids.
//! Expected values come from mistral-common 1.13.1.

#![expect(clippy::unwrap_used, reason = "a test's own fixtures")]

mod support;

use std::sync::LazyLock;

use chat::tekken::{SpecialPolicy, Version};
use chat::{ChatError, Prompt, Tekken};
use serde_json::{Value, json};
use support::{base64, tekken};

static TEKKEN: LazyLock<Tekken> = LazyLock::new(|| tekken(Version::V15));

/// The settings block, as text and as ids.
const NONE: &str = r#"[MODEL_SETTINGS]{"reasoning_effort": "none"}[/MODEL_SETTINGS]"#;
const HIGH: &str = r#"[MODEL_SETTINGS]{"reasoning_effort": "high"}[/MODEL_SETTINGS]"#;
const NONE_IDS: [u32; 12] = [
    36, 19227, 80277, 1302, 13196, 1609, 1449, 2811, 1429, 17670, 46005, 37,
];
const HIGH_IDS: [u32; 12] = [
    36, 19227, 80277, 1302, 13196, 1609, 1449, 2811, 1429, 24871, 46005, 37,
];

fn try_encode(body: &str) -> Result<Prompt, ChatError> {
    let request = chat::request::parse(body.as_bytes())?;
    chat::encode(&chat::validate(request, &TEKKEN)?, &TEKKEN)
}

fn encode(body: Value) -> Prompt {
    try_encode(&body.to_string()).unwrap()
}

/// The prompt as text.
fn text(body: Value) -> String {
    TEKKEN.decode(&encode(body).ids, SpecialPolicy::Keep)
}

fn ids(parts: &[&[u32]]) -> Vec<u32> {
    parts.concat()
}

/// A black PNG's header as a data URL: its size is all that is read.
fn picture(width: u32, height: u32) -> Value {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let file = [
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(),
        &size,
        b"\x01\0\0\0\0",
    ]
    .concat();
    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", base64(&file))}})
}

fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn words(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn plain_turns() {
    let hello = encode(json!({"messages": [user("Hello, world!")]}));
    assert_eq!(
        hello.ids,
        ids(&[&[1], &NONE_IDS, &[3, 22177, 1044, 4304, 1033, 4]])
    );

    let brief = json!({"role": "system", "content": "Be brief."});
    let sum =
        encode(json!({"messages": [brief, user("What is 2+2?")], "reasoning_effort": "high"}));
    let asked = [3, 7493, 1395, 1032, 1050, 1043, 1050, 1063, 4];
    assert_eq!(
        sum.ids,
        ids(&[&[1, 17, 5934, 13426, 1046, 18], &HIGH_IDS, &asked])
    );

    // An assistant's text loses its trailing spaces; a user's keeps them.
    let body = json!({"messages": [
        brief, user("Hi"), {"role": "assistant", "content": "Hello. "}, user("Bye"),
    ]});
    let expected = ids(&[
        &[1, 17, 5934, 13426, 1046, 18],
        &NONE_IDS,
        &[3, 37133, 4, 22177, 1046, 2, 3, 3606, 1101, 4],
    ]);
    assert_eq!(encode(body).ids, expected);
}

#[test]
fn tools_calls_and_results_in_the_order_of_the_calls() {
    let parameters = json!({
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    });
    let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}});
    let body = json!({
        "tools": [{"type": "function", "function": {
            "parameters": parameters, "description": "Weather é", "name": "get_weather",
        }}],
        "messages": [
            user("Weather?"),
            {"role": "assistant", "content": null, "tool_calls": [
                call("aaaaaaaaa", json!("{\"city\":\"Zürich\",\"n\":1.0}")),
                call("bbbbbbbbb", json!({"city": "Rome", "x": [1, 2]})),
            ]},
            {"role": "tool", "tool_call_id": "bbbbbbbbb", "content": "Rome: 20"},
            {"role": "tool", "tool_call_id": "aaaaaaaaa", "content": "{\"t\": 5}", "name": "get_weather"},
            {"role": "assistant", "content": "Done."},
            user("Thanks"),
        ],
    });
    assert_eq!(encode(body.clone()).ids.len(), 137);
    let expected = [
        r#"<s>[AVAILABLE_TOOLS][{"type": "function", "function": {"name": "get_weather", "description": "Weather é", "#,
        r#""parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]"#,
        r#"[/AVAILABLE_TOOLS]"#,
        NONE,
        r#"[INST]Weather?[/INST][TOOL_CALLS]get_weather[ARGS]{"city": "Zürich", "n": 1.0}"#,
        r#"[TOOL_CALLS]get_weather[ARGS]{"city": "Rome", "x": [1, 2]}</s>"#,
        r#"[TOOL_RESULTS]{"t": 5}[/TOOL_RESULTS][TOOL_RESULTS]Rome: 20[/TOOL_RESULTS]Done.</s>[INST]Thanks[/INST]"#,
    ];
    assert_eq!(text(body), expected.concat());
}

#[test]
fn arguments_are_written_as_python_writes_them() {
    let table = [
        (json!(""), "{}"),
        (json!(null), "{}"),
        (json!("not json"), "\"not json\""),
        (json!(r#"{"b":1,"a":"é \n","a":2}"#), r#"{"b": 1, "a": 2}"#),
        (json!("[1,2]"), "[1, 2]"),
        (
            json!("[1e16,0.00001,1E5,1.50,-0.0,-0,NaN,12345678901234567890123]"),
            "[1e+16, 1e-05, 100000.0, 1.5, -0.0, 0, NaN, 12345678901234567890123]",
        ),
        (
            json!("\"\\u0000\\u001f\\/\\u007f\\ud83d\\ude00\""),
            "\"\\u0000\\u001f/\u{7f}😀\"",
        ),
    ];
    for (arguments, expected) in table {
        let body = json!({"messages": [
            user("x"),
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "calc", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": "a", "content": ""},
        ], "tools": [{"function": {"name": "calc", "parameters": {}}}]});
        let tool = r#"[{"type": "function", "function": {"name": "calc", "description": "", "parameters": {}}}]"#;
        let end = "</s>[TOOL_RESULTS][/TOOL_RESULTS]";
        let expected = format!(
            "<s>[AVAILABLE_TOOLS]{tool}[/AVAILABLE_TOOLS]{NONE}[INST]x[/INST][TOOL_CALLS]calc[ARGS]{expected}{end}"
        );
        assert_eq!(text(body), expected);
    }
}

#[test]
fn thinking_in_every_form_stays_in_the_history() {
    let forms = [
        json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "Add them."}, words("4")]}),
        json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": [words("Add "), words("them.")], "closed": true}, words("4"),
        ]}),
        json!({"role": "assistant", "content": "4", "reasoning_content": "Add them."}),
        json!({"role": "assistant", "content": "4", "reasoning": "Add them.", "reasoning_content": "Add them."}),
    ];
    let think = [34, 5391, 2424, 1046, 35, 1052, 2];
    let (first, second) = (
        [3, 1050, 1043, 1050, 1063, 4],
        [3, 1051, 1043, 1051, 1063, 4],
    );
    for form in forms {
        let prompt = encode(
            json!({"messages": [user("2+2?"), form, user("3+3?")], "reasoning_effort": "high"}),
        );
        assert_eq!(prompt.ids, ids(&[&[1], &HIGH_IDS, &first, &think, &second]));
        assert!(!prompt.open_thinking);
    }

    // A thought before a call; generation goes on after the result.
    let calls = json!([{"id": "abc", "function": {"name": "calc", "arguments": {}}}]);
    let prompt = encode(json!({"reasoning_effort": "high", "messages": [
        user("2+2?"),
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Use tool."}], "tool_calls": calls},
        {"role": "tool", "tool_call_id": "abc", "content": "4"},
    ]}));
    let rest = [
        34, 15908, 9519, 1046, 35, 9, 53508, 32, 30620, 2, 7, 1052, 8,
    ];
    assert_eq!(prompt.ids, ids(&[&[1], &HIGH_IDS, &first, &rest]));
}

#[test]
fn prefixes_and_open_thoughts() {
    let prefix = |content: Value| json!({"role": "assistant", "content": content, "prefix": true});
    let prompt = encode(json!({"messages": [user("Say hi"), prefix(json!("Sure: "))]}));
    assert_eq!(
        prompt.ids,
        ids(&[&[1], &NONE_IDS, &[3, 67935, 14994, 4, 69957, 1058]])
    );
    assert!(!prompt.open_thinking);

    let open = json!([{"type": "thinking", "thinking": "Let me", "closed": false}]);
    let prompt =
        encode(json!({"messages": [user("2+2?"), prefix(open)], "reasoning_effort": "high"}));
    assert_eq!(prompt.ids[prompt.ids.len() - 4..], [4, 34, 12598, 1639]);
    assert!(prompt.open_thinking);

    let closed = json!([{"type": "thinking", "thinking": "Let me"}, words("The ")]);
    let prompt =
        encode(json!({"messages": [user("2+2?"), prefix(closed)], "reasoning_effort": "high"}));
    assert_eq!(
        prompt.ids[prompt.ids.len() - 6..],
        [34, 12598, 1639, 35, 1784, 1032]
    );
    assert!(!prompt.open_thinking);

    let continued = json!({"messages": [user("Say hi"), {"role": "assistant", "content": "Sure: "}],
        "continue_final_message": true});
    assert!(text(continued).ends_with("[INST]Say hi[/INST]Sure:"));
}

#[test]
fn images_take_their_grid_s_tokens() {
    let row = |count: usize, end: u32| [vec![10; count], vec![end]].concat();

    // An image after nothing but text goes first.
    let prompt = encode(
        json!({"messages": [{"role": "user", "content": [words("Describe."), picture(300, 200)]}]}),
    );
    assert_eq!(prompt.ids.len(), 114);
    let image = [row(11, 12).repeat(7), row(11, 13)].concat();
    assert_eq!(prompt.ids[14..110], image);
    let slot = &prompt.images[0];
    assert_eq!((slot.message, slot.chunk, slot.start), (0, 1, 14));
    assert_eq!(
        (slot.width, slot.height, slot.grid.width, slot.grid.height),
        (300, 200, 11, 8)
    );

    let between = json!({"messages": [{"role": "user", "content": [words("A"), picture(28, 28), words("B")]}]});
    assert_eq!(
        encode(between).ids,
        ids(&[&[1], &NONE_IDS, &[3, 1065, 10, 13, 1066, 4]])
    );

    // Neighbouring texts are one text before they are encoded.
    let joined = json!({"messages": [{"role": "user", "content": [words("A"), words("B"), picture(28, 56)]}]});
    assert_eq!(encode(joined).ids[13..], [3, 10, 12, 10, 13, 8062, 4]);

    let shot = json!({"messages": [
        user("x"),
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [words("shot:"), picture(28, 28)]},
    ]});
    assert!(text(shot).ends_with("[TOOL_RESULTS]shot:[IMG][IMG_END][/TOOL_RESULTS]"));
}

#[test]
fn neighbours_of_one_role_merge() {
    let system = |content: &str| json!({"role": "system", "content": content});
    let assistant = |content: &str| json!({"role": "assistant", "content": content});
    let body = json!({"messages": [
        system("One"), system("Two"), user("a"), user("b"), system("Three"),
        {"role": "user", "content": [words("c"), words("d")]},
        assistant("ok"), assistant("more"), user("e"),
    ]});
    let expected = format!(
        "<s>[SYSTEM_PROMPT]One[/SYSTEM_PROMPT][SYSTEM_PROMPT]Two[/SYSTEM_PROMPT]{NONE}[INST]a\n\nb[/INST]\
         [SYSTEM_PROMPT]Three[/SYSTEM_PROMPT][INST]cd[/INST]ok\n\nmore</s>[INST]e[/INST]"
    );
    assert_eq!(text(body), expected);

    assert_eq!(
        text(json!({"messages": [system("Only system")]})),
        "<s>[SYSTEM_PROMPT]Only system[/SYSTEM_PROMPT]"
    );
    assert_eq!(
        text(json!({"messages": [assistant("y"), user("x")]})),
        format!("<s>y</s>{NONE}[INST]x[/INST]")
    );
    assert_eq!(
        text(json!({"messages": [user("")], "reasoning_effort": "high"})),
        format!("<s>{HIGH}[INST][/INST]")
    );
}

/// Some models' settings also hold the schema of the response format.
#[test]
fn response_schemas_are_settings_where_the_model_reads_them() {
    let setting =
        r#","json_schema":{"type":"json_schema","accepts_none":false,"default":null}},"image""#;
    let json = support::tekken_json(Version::V15);
    let end = r#""default":"none"}},"#;
    assert!(json.contains(end));
    let json = json
        .replacen(end, &format!(r#""default":"none"}}{setting}:null,"#), 1)
        .replacen(r#""image":{"#, r#""was":{"#, 1);
    let tekken = Tekken::from_json(json.as_bytes(), "tekken.json".as_ref()).unwrap();
    let settings = |format: Value| {
        let body = json!({"messages": [user("x")], "response_format": format}).to_string();
        let conversation = chat::validate(chat::request::parse(body.as_bytes())?, &tekken)?;
        let text = tekken.decode(
            &chat::encode(&conversation, &tekken)?.ids,
            SpecialPolicy::Keep,
        );
        let text = text.strip_prefix("<s>[MODEL_SETTINGS]{").unwrap();
        Ok::<_, ChatError>(
            text.strip_suffix(r#""reasoning_effort": "none"}[/MODEL_SETTINGS][INST]x[/INST]"#)
                .unwrap()
                .to_owned(),
        )
    };
    let schema = |schema: Value| json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    assert_eq!(settings(json!({"type": "text"})).unwrap(), "");
    assert_eq!(settings(json!(null)).unwrap(), "");
    assert_eq!(
        settings(json!({"type": "json_object"})).unwrap(),
        r#""json_schema": {"anyOf": [{"type": "object"}, {"type": "array"}]}, "#
    );
    assert_eq!(
        settings(schema(
            json!({"type": "object", "properties": {"b": {}, "a": {}}})
        ))
        .unwrap(),
        r#""json_schema": {"type": "object", "properties": {"b": {}, "a": {}}}, "#
    );
    for bad in [
        schema(json!({"type": "x"})),
        schema(json!(3)),
        json!({"type": "json_schema"}),
        json!({"type": "x"}),
        json!(3),
    ] {
        assert_eq!(settings(bad).unwrap_err().kind(), "ValidationError");
    }
}

#[test]
fn control_tokens_spelled_in_text_stay_text() {
    let prompt = encode(json!({"messages": [user("[INST] </s> [IMG]")]}));
    let spelled = [1091, 3174, 3074, 1093, 2259, 1115, 1062, 1766, 125250, 1093];
    assert_eq!(prompt.ids, ids(&[&[1], &NONE_IDS, &[3], &spelled, &[4]]));
}

#[test]
fn refusals_name_the_message_and_what_is_allowed() {
    let u = user("x");
    let call = |id: &str| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
    let asks = |ids: &[&str]| {
        let calls: Vec<Value> = ids.iter().map(|id| call(id)).collect();
        json!({"role": "assistant", "tool_calls": calls})
    };
    let says = json!({"role": "assistant", "content": "y"});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
    let prefixed = json!({"role": "assistant", "content": "y", "prefix": true});
    let structure = "InvalidMessageStructureException";
    let messages = |messages: &[&Value]| json!({"messages": messages});
    let tool = |parameters: Value| json!({"messages": [u], "tools": [{"function": {"name": "f", "parameters": parameters}}]});
    let table = [
        (messages(&[]), structure, "at least one message"),
        (
            messages(&[&says]),
            structure,
            "messages[0]: a conversation must start with a user or system message",
        ),
        (
            messages(&[&u, &says]),
            structure,
            "messages[1]: the last message must be of role user or tool",
        ),
        (
            messages(&[&u, &prefixed, &u]),
            "InvalidAssistantMessageException",
            "messages[1]: ",
        ),
        (
            messages(&[&u, &result("a")]),
            structure,
            "unexpected role tool after role user; allowed are assistant",
        ),
        (
            messages(&[&u, &asks(&["a"]), &result("b")]),
            structure,
            "messages[2]: unexpected tool call id \"b\"",
        ),
        (
            messages(&[&u, &asks(&["a"]), &result("a"), &result("a")]),
            structure,
            "messages[3]: duplicate",
        ),
        (
            messages(&[&u, &asks(&["a", "a"]), &result("a")]),
            structure,
            "messages[1]: duplicate tool call id \"a\"",
        ),
        (
            messages(&[&u, &asks(&["a"]), &u]),
            structure,
            "not the same number of function calls",
        ),
        (
            messages(&[&u, &asks(&["null"]), &result("null")]),
            "InvalidFunctionCallException",
            "tool_calls[0].id",
        ),
        (
            tool(json!({"type": "obj"})),
            "InvalidToolSchemaException",
            "tools[0].function.parameters.type",
        ),
        (
            json!({"messages": [u], "reasoning_effort": "medium"}),
            "InvalidRequestException",
            "reasoning_effort should be one of [\"none\", \"high\"], got medium",
        ),
        (
            json!({"messages": [u], "reasoning_effort": "some"}),
            "ValidationError",
            "reasoning_effort: expected one of",
        ),
        (
            json!({"messages": [u, {"role": "assistant", "content": ""}, u]}),
            "TokenizerException",
            "messages[1]: ",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]}),
            "ValidationError",
            "messages[0].content[0]: not allowed in a message of role user",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "thinking", "thinking": "x"}]}, u]}),
            "InvalidSystemPromptException",
            "messages[0].content[0]: thinking chunks are not allowed in system messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://a/b.png"}]}]}),
            "ImageDecodeException",
            "messages[0].content[0]: an image given by address has to be fetched first",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x", "foo": 1}, prefixed]}),
            "ValidationError",
            "messages[0].foo: unknown field; allowed are role, content",
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            "ValidationError",
            "messages[0].content: missing",
        ),
        (
            json!(3),
            "ValidationError",
            "request body: expected an object",
        ),
    ];
    for (body, kind, part) in table {
        let error = try_encode(&body.to_string()).expect_err(&body.to_string());
        assert!(error.to_string().contains(part), "{error}\n{part}");
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(
        try_encode("{").map_err(|error| error.kind()),
        Err("JSONDecodeError")
    );
}
