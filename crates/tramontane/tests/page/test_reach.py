"""Everyone can use it: by keyboard, at 360 pixels, with a screen reader, light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import demonstration

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
NO_WAIT = lambda body: (delta for delta in demonstration.deltas(body) if not isinstance(delta, float))


def focused(chat):
    return chat.page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent || document.activeElement.id")


def tab_to(chat, name, limit=40):
    for _ in range(limit):
        chat.page.keyboard.press("Tab")
        if name in focused(chat):
            return
    raise AssertionError(f"{name} is not reached by Tab; the focus is on {focused(chat)!r}")


def test_by_keyboard_alone(visit, stand_in):
    chat = visit(stand_in.url)
    keys = chat.page.keyboard
    # The field has the focus from the start.
    keys.type("One")
    keys.press("Shift+Enter")
    keys.type("two")
    keys.press("Enter")
    chat.wait()
    assert stand_in.requests[-1]["messages"][-1]["content"] == "One\ntwo"
    # Effort, by Tab and Space.
    tab_to(chat, "Think")
    keys.press("Space")
    expect(chat.page.locator("#effort")).to_have_attribute("aria-pressed", "true")
    # The settings, and out of them by Escape; the focus comes back.
    tab_to(chat, "Settings")
    keys.press("Enter")
    expect(chat.page.get_by_role("dialog")).to_be_visible()
    tab_to(chat, "Close the settings")
    keys.press("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    assert focused(chat) == "Settings"
    # Edit a message; Escape leaves it, Ctrl-Enter sends it.
    tab_to(chat, "Edit and send again")
    keys.press("Enter")
    expect(chat.page.get_by_role("textbox", name="Edit the message")).to_be_focused()
    keys.press("Escape")
    assert "Edit" in focused(chat)
    keys.press("Enter")
    expect(chat.page.get_by_role("textbox", name="Edit the message")).to_be_focused()
    keys.type(" three")
    keys.press("Control+Enter")
    chat.wait()
    assert stand_in.requests[-1]["messages"][-1]["content"] == "One\ntwo three"
    assert stand_in.requests[-1]["reasoning_effort"] == "high"
    expect(chat.page.locator("#prompt")).to_be_focused()
    # Back to the first version.
    tab_to(chat, "Previous version")
    keys.press("Enter")
    expect(chat.page.locator(".said")).to_have_text("One\ntwo")
    # The skip link is the first thing, and leads to the field.
    chat.page.locator("#skip").focus()
    keys.press("Enter")
    expect(chat.page.locator("#prompt")).to_be_focused()


def test_escape_stops(visit, stand_in):
    def endless(_):
        while True:
            yield {"content": "on and "}
            yield 0.05

    stand_in.deltas = endless
    chat = visit(stand_in.url)
    chat.send("Go", wait=False)
    expect(chat.last).to_contain_text("on and on")
    chat.page.keyboard.press("Escape")
    expect(chat.last.locator(".note")).to_have_text("Stopped.")
    assert stand_in.gone.wait(10)


def test_a_screen_reader_is_told_little_and_enough(visit, stand_in):
    told = []
    chat = visit(stand_in.url)
    chat.page.expose_function("tell", lambda text: told.append(text))
    chat.page.evaluate("new MutationObserver(() => tell(announce.textContent)).observe(announce, { childList: true, characterData: true, subtree: true })")
    stand_in.deltas = lambda _: [{"content": f"word{number} "} for number in range(300)]
    chat.send("Talk")
    expect(chat.page.locator("#announce")).to_have_text("The reply is complete, 300 words")
    assert len(told) <= 3, told
    stand_in.deltas = lambda _: [{"content": "Short."}]
    chat.send("Talk")
    expect(chat.page.locator("#announce")).to_have_text("Reply: Short.")
    # Nothing that streams is live itself.
    assert chat.page.locator("#conversation [aria-live]").count() == 0


def is_wider(chat):
    """Whether anything makes the page scroll sideways, and what sticks out."""
    return chat.page.evaluate("""() => {
      const width = document.documentElement.clientWidth;
      const wide = [document.scrollingElement, document.getElementById('conversation'), ...document.querySelectorAll('dialog, #sidebar')];
      return wide.filter((node) => node.scrollWidth > node.clientWidth || node.getBoundingClientRect().right > width).map((node) => node.id || node.tagName);
    }""")


def test_at_360_pixels(visit, stand_in):
    stand_in.deltas = lambda body: [*NO_WAIT(body), {"content": "\n\n" + "unbroken" * 60 + "\n\n`" + "code" * 90 + "`\n\n$$" + "a + " * 80 + "a$$\n\nhttps://example.org/" + "path/" * 60}]
    chat = visit(stand_in.url, **PHONE)
    assert is_wider(chat) == []
    chat.page.tap("#effort")
    chat.page.fill("#prompt", "A long question. " * 8)
    chat.page.tap("#send")
    chat.wait()
    expect(chat.last.locator("table")).to_be_visible()
    chat.last.locator("summary").tap()
    assert is_wider(chat) == []
    # The list of chats comes as a drawer, and goes.
    chat.page.tap("#sidebar-open")
    expect(chat.page.locator("#chats a")).to_be_visible()
    assert is_wider(chat) == []
    chat.page.tap("#sidebar-close")
    expect(chat.page.locator("#sidebar")).to_be_hidden()
    chat.page.tap("#settings-open")
    chat.page.get_by_label("JSON by a schema").check()
    assert is_wider(chat) == []
    # What a finger meets is large enough.
    chat.page.keyboard.press("Escape")
    sizes = chat.page.evaluate("[...document.querySelectorAll('#top button, #composer button')].filter((node) => node.offsetParent).map((node) => [node.id, node.offsetWidth, node.offsetHeight])")
    assert sizes and all(width >= 24 and height >= 24 for _, width, height in sizes), sizes


def test_appearance_is_chosen_and_kept(visit, stand_in):
    chat = visit(stand_in.url, color_scheme="light")
    paper = lambda: chat.page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = paper()
    chat.page.click("#settings-open")
    chat.page.get_by_label("Dark", exact=True).check()
    dark = paper()
    assert dark != light
    chat.open()
    assert paper() == dark
    chat.page.click("#settings-open")
    chat.page.get_by_label("System", exact=True).check()
    assert paper() == light


def serious(chat):
    found = Axe().run(chat.page).response["violations"]
    return [
        (one["id"], node["target"], node["failureSummary"])
        for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, stand_in, scheme):
    stand_in.deltas = NO_WAIT
    chat = visit(stand_in.url, color_scheme=scheme, reduced_motion="reduce")
    assert serious(chat) == []
    chat.page.get_by_role("button", name="Think").click()
    chat.send(demonstration.QUESTION)
    expect(chat.last.locator("table")).to_be_visible()
    chat.last.locator("summary").click()
    expect(chat.last.locator(".thought math")).to_be_visible()
    chat.last.get_by_role("button", name="Try again").click()
    chat.wait()
    stand_in.refusal = (400, "this will not do")
    chat.send("Not this")
    assert serious(chat) == []
    stand_in.refusal = None
    chat.settings(Tools=demonstration.TOOLS, **{"System prompt": "Be brief."})
    chat.page.get_by_label("JSON by a schema").check()
    chat.page.get_by_label("JSON schema", exact=True).fill("{")
    assert serious(chat) == []
    chat.page.get_by_label("Free text").check()
    chat.close_settings()
    chat.send("What is the weather?")
    expect(chat.last.locator(".results")).to_be_visible()
    assert serious(chat) == []


def test_axe_on_a_phone(visit, stand_in):
    stand_in.deltas = NO_WAIT
    chat = visit(stand_in.url, reduced_motion="reduce", **PHONE)
    chat.page.fill("#prompt", demonstration.QUESTION)
    chat.page.tap("#send")
    chat.wait()
    expect(chat.last.locator("table")).to_be_visible()
    assert serious(chat) == []
    chat.page.tap("#sidebar-open")
    assert serious(chat) == []
