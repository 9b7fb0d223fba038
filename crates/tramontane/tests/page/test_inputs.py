"""What goes along with a message: images, tools, schemas."""

import json
import re

import pytest
from playwright.sync_api import expect

import demonstration

PNG = demonstration.picture(48, 32)
URL = demonstration.data_url(PNG)

TRANSFER = """([bytes, name, type]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
  return transfer;
}"""


def transfer(chat, data=PNG, name="sky.png", kind="image/png"):
    return chat.page.evaluate_handle(TRANSFER, [list(data), name, kind])


def drop(chat):
    handle = transfer(chat)
    chat.page.dispatch_event("#conversation", "dragenter", {"dataTransfer": handle})
    expect(chat.page.locator("#drop")).to_be_visible()
    chat.page.dispatch_event("#conversation", "drop", {"dataTransfer": handle})
    expect(chat.page.locator("#drop")).to_be_hidden()


def paste(chat):
    fire = "(node, data) => node.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))"
    chat.page.locator("#prompt").evaluate(fire, transfer(chat))


def choose(chat):
    with chat.page.expect_file_chooser() as chooser:
        chat.page.click("#attach")
    chooser.value.set_files({"name": "sky.png", "mimeType": "image/png", "buffer": PNG})


@pytest.mark.parametrize("way", [drop, paste, choose])
def test_an_image_goes_along(visit, stand_in, way):
    chat = visit(stand_in.url)
    way(chat)
    expect(chat.page.locator("#attached img")).to_have_count(1)
    chat.send("What is this?")
    expect(chat.page.locator("#attached")).to_be_hidden()
    expect(chat.page.locator(".pictures img")).to_have_count(1)
    content = stand_in.requests[-1]["messages"][-1]["content"]
    assert content == [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": "What is this?"}]


def test_the_real_server_takes_the_image(visit, server_url):
    chat = visit(server_url)
    paste(chat)
    chat.send("What is this?")
    expect(chat.last.locator(".prose").last).to_have_text(re.compile(r"\S"))
    expect(chat.last.get_by_role("alert")).to_be_hidden()


def test_what_is_no_image_is_said_by_page_or_server(visit, server_url):
    chat = visit(server_url)
    chat.page.set_input_files("#attach-file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"a"})
    expect(chat.page.locator(".toast")).to_contain_text("notes.txt")
    expect(chat.page.locator("#attached img")).to_have_count(0)
    chat.page.set_input_files("#attach-file", {"name": "broken.png", "mimeType": "image/png", "buffer": b"nothing of the kind"})
    expect(chat.page.locator("#attached img")).to_have_count(1)
    chat.send("Look")
    expect(chat.last.get_by_role("alert")).to_contain_text("not an image file")
    # Editing lets the image go.
    message = chat.page.locator(".message.user")
    message.hover()
    message.get_by_role("button", name="Edit").click()
    message.get_by_role("button", name="Leave out image 1").click()
    message.get_by_role("button", name="Send").click()
    chat.wait()
    expect(chat.last.get_by_role("alert")).to_be_hidden()
    expect(chat.last.locator(".prose").last).to_have_text(re.compile(r"\S"))


def test_an_attached_image_can_be_removed(visit, stand_in):
    chat = visit(stand_in.url)
    paste(chat)
    chat.page.get_by_role("button", name="Remove image 1").click()
    expect(chat.page.locator("#attached")).to_be_hidden()
    expect(chat.page.locator("#send")).to_be_disabled()


def test_a_tool_is_called_and_answered(visit, server_url):
    chat = visit(server_url)
    # A model that knows nothing has to be held to the name and the arguments.
    chat.settings(Tools=demonstration.TOOLS.replace('"name"', '"strict": true, "name"'))
    chat.close_settings()
    expect(chat.page.get_by_role("button", name="1 tool")).to_be_visible()
    chat.send("What is the weather in Marseille?")
    expect(chat.last.locator(".call-name").first).to_have_text("Calls get_weather")
    for area in chat.last.locator(".results textarea").all():
        area.fill('{"temperature": 11}')
    chat.last.get_by_role("button", name=re.compile("Send results?")).click()
    chat.wait()
    expect(chat.page.locator(".message.tool").first).to_contain_text('"temperature": 11')
    expect(chat.last.locator(".prose").last).to_have_text(re.compile(r"\S"))
    expect(chat.last.get_by_role("alert")).to_be_hidden()


def test_calls_and_results_are_sent_back_in_order(visit, stand_in):
    calls = [
        {"index": index, "id": f"callid00{index}", "type": "function", "function": {"name": name, "arguments": given}}
        for index, (name, given) in enumerate([("add", '{"a": 1}'), ("sub", "{}")])
    ]
    stand_in.deltas = lambda body: [{"content": "Done."}] if body["messages"][-1]["role"] == "tool" else [{"tool_calls": [call]} for call in calls]
    chat = visit(stand_in.url)
    chat.settings(Tools='{"name": "add", "parameters": {"type": "object"}}')
    chat.close_settings()
    chat.send("Go")
    chat.page.get_by_label("Result of add").fill("3")
    chat.page.get_by_label("Result of sub").fill("<b>4</b>")
    chat.page.get_by_role("button", name="Send results").click()
    expect(chat.last).to_contain_text("Done.")
    body = stand_in.requests[-1]
    assert body["tools"] == [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    told = [{key: call[key] for key in ("id", "type", "function")} for call in calls]
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": told},
        {"role": "tool", "content": "3", "tool_call_id": "callid000", "name": "add"},
        {"role": "tool", "content": "<b>4</b>", "tool_call_id": "callid001", "name": "sub"},
    ]


def test_a_schema_holds_the_reply(visit, server_url):
    chat = visit(server_url)
    chat.page.click("#settings-open")
    chat.page.get_by_label("JSON by a schema").check()
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "rank": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["city", "rank"], "additionalProperties": False}
    chat.page.get_by_label("JSON schema", exact=True).fill(json.dumps(schema))
    chat.close_settings()
    expect(chat.page.get_by_role("button", name="JSON schema")).to_be_visible()
    chat.send("A city")
    code = chat.last.locator(".body > .prose code")
    expect(code).to_have_text(re.compile(r"\}\s*$"))
    value = json.loads(code.inner_text())
    assert set(value) == {"city", "rank"} and 0 <= value["rank"] <= 9


def test_json_that_is_none_is_said_where_it_is_typed_and_not_sent(visit, stand_in):
    chat = visit(stand_in.url)
    chat.settings(Tools="[{]")
    expect(chat.page.locator(".fault", has_text="not JSON")).to_be_visible()
    chat.close_settings()
    expect(chat.page.get_by_role("button", name="Tools: not valid")).to_be_visible()
    chat.send("Hello")
    expect(chat.last.get_by_role("alert")).to_contain_text("Tools: not JSON")
    assert stand_in.requests == []
