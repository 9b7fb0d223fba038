"""Chats are kept in the browser, and can leave it as files."""

import json
import re

from playwright.sync_api import expect


def titles(chat):
    return chat.page.locator("#chats a")


def test_a_reload_keeps_chats_and_shows_the_one_that_was_open(visit, server_url):
    chat = visit(server_url)
    chat.send("The first chat")
    reply = chat.last.locator(".body > .prose").inner_text()
    chat.page.get_by_role("button", name="New chat").click()
    chat.send("The second chat")
    expect(titles(chat)).to_have_text(["The second chat", "The first chat"])
    titles(chat).nth(1).click()
    expect(chat.page.locator(".said")).to_have_text("The first chat")
    chat.page.reload()
    expect(chat.page.locator(".said")).to_have_text("The first chat")
    expect(chat.last.locator(".body > .prose")).to_have_text(reply)
    expect(chat.last.locator(".stats")).to_have_text(re.compile("token"))
    expect(titles(chat)).to_have_count(2)
    expect(chat.page).to_have_title("The first chat · Tramontane")


def test_a_reply_that_a_reload_cut_off_is_stopped_not_lost(visit, stand_in):
    def slow(_):
        yield {"content": "Some words"}
        while not stand_in.gone.is_set():
            yield {"content": "."}
            yield 0.1

    stand_in.deltas = slow
    chat = visit(stand_in.url)
    chat.send("Go", wait=False)
    expect(chat.last).to_contain_text("Some words.....")
    chat.page.wait_for_timeout(2000)
    chat.page.reload()
    expect(chat.last).to_contain_text("Some words.")
    expect(chat.last.locator(".note")).to_have_text("Stopped.")


def test_a_chat_goes_on_while_another_is_open(visit, stand_in):
    def slow(_):
        yield {"content": "Slowly"}
        while not released:
            yield 0.05
        yield {"content": " but surely."}

    released = []
    stand_in.deltas = slow
    chat = visit(stand_in.url)
    chat.send("Take your time", wait=False)
    expect(chat.last).to_contain_text("Slowly")
    chat.page.get_by_role("button", name="New chat").click()
    expect(chat.page.locator("#send")).to_be_visible()
    stand_in.deltas = lambda _: [{"content": "Quick."}]
    chat.send("Be quick")
    expect(chat.last).to_contain_text("Quick.")
    released.append(True)
    titles(chat).filter(has_text="Take your time").click()
    expect(chat.last).to_contain_text("Slowly but surely.")


def test_rename_delete_undo(visit, stand_in):
    chat = visit(stand_in.url)
    chat.send("A question")
    chat.page.get_by_role("button", name="Rename A question").click()
    chat.page.get_by_label("Name of the chat").fill("Weather <i>")
    chat.page.keyboard.press("Enter")
    expect(titles(chat)).to_have_text(["Weather <i>"])
    expect(titles(chat)).to_be_focused()
    chat.page.get_by_role("button", name="Rename Weather").click()
    chat.page.get_by_label("Name of the chat").fill("Nothing")
    chat.page.keyboard.press("Escape")
    expect(titles(chat)).to_have_text(["Weather <i>"])
    chat.send("More")
    expect(titles(chat)).to_have_text(["Weather <i>"])
    chat.page.get_by_role("button", name="Delete Weather").click()
    expect(titles(chat)).to_have_count(0)
    expect(chat.page.locator("#welcome")).to_be_visible()
    chat.page.get_by_role("button", name="Undo").click()
    titles(chat).click()
    expect(chat.page.locator(".said")).to_have_text(["A question", "More"])


def test_a_chat_deleted_while_it_is_answered_stays_deleted(visit, stand_in):
    def slow(_):
        while not stand_in.gone.is_set():
            yield {"content": "and so on "}
            yield 0.05

    stand_in.deltas = slow
    chat = visit(stand_in.url)
    chat.send("Go", wait=False)
    expect(chat.last).to_contain_text("and so on and so on")
    chat.page.get_by_role("button", name="Delete Go").click()
    assert stand_in.gone.wait(10)
    chat.page.wait_for_timeout(500)
    chat.page.reload()
    expect(chat.page.locator("#no-chats")).to_be_visible()
    expect(titles(chat)).to_have_count(0)


def test_export_and_import(visit, stand_in, tmp_path):
    chat = visit(stand_in.url)
    stand_in.deltas = lambda _: [{"reasoning_content": "hm"}, {"content": "**yes**"}]
    chat.send("A question")
    chat.last.get_by_role("button", name="Try again").click()
    chat.wait()
    with chat.page.expect_download() as download:
        chat.page.get_by_role("button", name="Export").click()
    file = tmp_path / "chats.json"
    download.value.save_as(file)
    whole = json.loads(file.read_text())
    assert [message["role"] for message in whole["chats"][0]["messages"]] == ["user", "assistant", "assistant"]

    other = visit(stand_in.url)
    other.page.set_input_files("#import-file", file)
    expect(other.page.locator(".toast")).to_have_text("1 chat imported.")
    titles(other).click()
    expect(other.last.locator("strong")).to_have_text("yes")
    expect(other.last.locator(".count")).to_have_text("2/2")


def test_a_file_that_lies_is_refused(visit, stand_in, tmp_path):
    chat = visit(stand_in.url)
    whole = {"format": "tramontane-chats", "version": 1}
    message = {"id": "a", "parent": None, "role": "user", "content": "x"}
    files = {
        "no json": "{",
        "another": "{}",
        "an image from elsewhere": {"messages": [message | {"images": ["https://example.org/a.png"]}]},
        "an SVG": {"messages": [message | {"images": ["data:image/svg+xml;base64,AAAA"]}]},
        "a circle": {"messages": [message | {"parent": "b"}, message | {"id": "b", "parent": "a"}]},
        "a role": {"messages": [message | {"role": "constructor"}]},
    }
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(whole | {"chats": [value | {"title": name}]})
        chat.page.set_input_files("#import-file", {"name": "a.json", "mimeType": "application/json", "buffer": text.encode()})
        expect(chat.page.locator(".toast", has_text=re.compile("The file (is|holds)")).last).to_be_visible()
        chat.page.evaluate("document.getElementById('toasts').replaceChildren()")
    expect(titles(chat)).to_have_count(0)
