"""Sending, streaming, stopping, branching: what a chat is."""

import itertools
import re

from playwright.sync_api import expect


def test_a_message_is_answered(visit, server_url):
    chat = visit(server_url)
    chat.send("Tell me something")
    expect(chat.page.locator(".message.user .said")).to_have_text("Tell me something")
    expect(chat.last.locator(".prose").last).to_have_text(re.compile(r"\S"))
    expect(chat.last.locator(".stats")).to_have_text(re.compile(r"\d+ tokens? · .*first after [\d.]+ s"))
    expect(chat.page.locator("#context-note")).to_have_text(re.compile(r"^\d+ of 65,536 tokens"))


def test_text_shows_while_it_streams_and_ends_as_markdown(visit, stand_in):
    def deltas(_):
        yield {"content": "# Title\n\nSome *first"}
        while not released:
            yield 0.05
        yield {"content": " words* and $x^2$.\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"}

    released = []
    stand_in.deltas = deltas
    chat = visit(stand_in.url)
    chat.send("Go", wait=False)
    expect(chat.last.locator("h3")).to_have_text("Title")
    expect(chat.last).to_contain_text("first")
    expect(chat.page.locator("#stop")).to_be_visible()
    expect(chat.last.locator("pre")).to_have_count(0)
    released.append(True)
    chat.wait()
    expect(chat.last.locator("em")).to_have_text("first words")
    expect(chat.last.locator("math")).to_have_count(1)
    expect(chat.last.locator("pre code")).to_have_text("fn main() {}")
    expect(chat.last.locator(".code-head")).to_contain_text("rust")
    expect(chat.last.locator("td[align=right]")).to_have_text("2")


def test_code_is_copied(visit, stand_in):
    stand_in.deltas = lambda _: [{"content": "```\nline 1\n  line 2\n```"}]
    chat = visit(stand_in.url, permissions=["clipboard-read", "clipboard-write"])
    chat.send("Code")
    chat.last.get_by_role("button", name="Copy code").click()
    expect(chat.page.locator("#announce")).to_have_text("Copied")
    assert chat.page.evaluate("navigator.clipboard.readText()") == "line 1\n  line 2"


def endless(_):
    for number in itertools.count():
        yield {"content": f"{number} "}
        yield 0.02


def test_stop_keeps_what_came_and_ends_the_request(visit, stand_in):
    stand_in.deltas = endless
    chat = visit(stand_in.url)
    chat.send("Count", wait=False)
    expect(chat.last.locator(".prose").last).to_contain_text("5")
    chat.page.click("#stop")
    expect(chat.last.locator(".note")).to_have_text("Stopped.")
    expect(chat.last).to_contain_text("0 1 2 3 4 5")
    assert stand_in.gone.wait(10), "the server still writes"
    # The next message goes on from there.
    stand_in.deltas = lambda _: [{"content": "Fine."}]
    chat.send("Enough")
    expect(chat.last).to_contain_text("Fine.")
    assert [message["role"] for message in stand_in.requests[-1]["messages"]] == ["user", "assistant", "user"]
    assert stand_in.requests[-1]["messages"][1]["content"].startswith("0 1 2")


def test_edits_and_retries_are_branches(visit, server_url):
    chat = visit(server_url)
    chat.send("First")
    chat.send("Second")
    expect(chat.replies).to_have_count(2)
    first = chat.page.locator(".message.user").first
    first.hover()
    first.get_by_role("button", name="Edit").click()
    chat.page.get_by_role("textbox", name="Edit the message").fill("Another first")
    chat.page.locator(".editor").get_by_role("button", name="Send").click()
    chat.wait()
    expect(chat.page.locator(".said")).to_have_text(["Another first"])
    expect(first.locator(".count")).to_have_text("2/2")
    first.get_by_role("button", name="Previous version").click()
    expect(chat.page.locator(".said")).to_have_text(["First", "Second"])
    expect(first.locator(".count")).to_have_text("1/2")
    chat.last.get_by_role("button", name="Try again").click()
    chat.wait()
    expect(chat.last.locator(".count")).to_have_text("2/2")
    first.get_by_role("button", name="Next version").click()
    expect(chat.page.locator(".said")).to_have_text(["Another first"])
    expect(chat.replies).to_have_count(1)


def test_only_the_shown_branch_is_sent(visit, stand_in):
    chat = visit(stand_in.url)
    stand_in.deltas = lambda body: [{"content": f"to {body['messages'][-1]['content']}"}]
    chat.send("one")
    chat.last.get_by_role("button", name="Try again").click()
    chat.wait()
    chat.send("two")
    sent = [(message["role"], message["content"]) for message in stand_in.requests[-1]["messages"]]
    assert sent == [("user", "one"), ("assistant", "to one"), ("user", "two")]


def test_a_thought_is_folded_and_told(visit, server_url):
    chat = visit(server_url)
    chat.send("Plainly")
    expect(chat.last.locator(".thinking")).to_be_hidden()
    chat.page.get_by_role("button", name="Think").click()
    chat.send("With thought")
    thinking = chat.last.locator(".thinking")
    expect(thinking.locator("summary")).to_have_text(re.compile(r"^Thought for [\d.]+ s · \d+ tokens?$"))
    expect(thinking.locator(".thought")).to_be_hidden()
    thinking.locator("summary").click()
    expect(thinking.locator(".thought")).to_have_text(re.compile(r"\S"))
    expect(chat.last.locator(".body > .prose")).to_have_text(re.compile(r"\S"))


def test_thought_and_system_prompt_and_numbers_are_sent(visit, stand_in):
    stand_in.deltas = lambda _: [{"reasoning_content": "hm"}, {"content": "yes"}]
    chat = visit(stand_in.url)
    chat.settings(**{"System prompt": "Be brief.", "Temperature": "0.5", "Seed": "7"})
    chat.close_settings()
    expect(chat.page.get_by_role("button", name="System prompt")).to_be_visible()
    chat.page.get_by_role("button", name="Think").click()
    chat.send("a")
    chat.send("b")
    body = stand_in.requests[-1]
    assert body["reasoning_effort"] == "high"
    assert (body["temperature"], body["seed"], body["stream"]) == (0.5, 7, True)
    assert "top_p" not in body and "tools" not in body and "response_format" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][2] == {"role": "assistant", "content": "yes", "reasoning_content": "hm"}


def test_a_refusal_is_shown_in_the_servers_words(visit, stand_in):
    stand_in.refusal = (400, "messages[0]: this is too <b>much</b>")
    chat = visit(stand_in.url)
    chat.send("Hello")
    expect(chat.last.get_by_role("alert")).to_have_text("messages[0]: this is too <b>much</b>")
    stand_in.refusal = None
    chat.last.get_by_role("button", name="Try again").click()
    chat.wait()
    expect(chat.last).to_contain_text("Hello.")


def test_a_reply_that_breaks_off_says_so(visit, stand_in):
    def breaks(_):
        yield {"content": "Half a"}
        raise OSError

    stand_in.deltas = breaks
    chat = visit(stand_in.url)
    chat.send("Go")
    expect(chat.last).to_contain_text("Half a")
    expect(chat.last.get_by_role("alert")).to_contain_text("before the reply did")


def test_a_server_that_is_gone_is_told(visit, stand_in):
    chat = visit(stand_in.url)
    chat.context.set_offline(True)
    chat.send("Anyone?")
    expect(chat.last.get_by_role("alert")).to_contain_text("did not answer")


def test_a_key_is_asked_for(visit, stand_in):
    stand_in.key = "sesame"
    chat = visit(stand_in.url, wait_for_model=False)
    dialog = chat.page.get_by_role("dialog")
    expect(dialog).to_contain_text("asks for a key")
    dialog.get_by_label("API key").fill("sesame")
    dialog.get_by_role("button", name="Use this key").click()
    expect(chat.page.locator("#model")).to_have_value("stand-in")
    chat.send("Hello")
    expect(chat.last).to_contain_text("Hello.")
    # It is kept; and a new one is asked for when it changes.
    chat.open()
    expect(chat.page.locator("#model")).to_have_value("stand-in")
    stand_in.key = "other"
    chat.send("Hello", wait=False)
    dialog.get_by_label("API key").fill("other")
    dialog.get_by_role("button", name="Use this key").click()
    expect(chat.last.locator(".prose").last).to_contain_text("Hello.")


def test_a_model_that_cannot_think_is_not_asked_to(visit, stand_in):
    stand_in.card = stand_in.card | {"capabilities": {"reasoning": False}}
    stand_in.deltas = lambda _: []
    chat = visit(stand_in.url)
    expect(chat.page.locator("#effort")).to_be_hidden()
    chat.send("Hello")
    assert "reasoning_effort" not in stand_in.requests[-1]
    expect(chat.last.locator(".note")).to_have_text("The reply is empty.")


def test_it_works_below_a_path(visit, stand_in):
    chat = visit(stand_in.url + "chat/")
    chat.send("Hello")
    expect(chat.last).to_contain_text("Hello.")
