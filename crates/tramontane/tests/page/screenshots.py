"""Takes the pictures of the documentation.

usage: python screenshots.py FOLDER

Without TRAMONTANE_QUESTION the replies are those of demonstration.py, from the stand-in; with it, the real server's model
answers that question.
"""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import demonstration
from conftest import Visit, launch, real_server
from stand_in import StandIn

HERE = Path(__file__).resolve().parent
DESKTOP = {"viewport": {"width": 1200, "height": 860}}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def ask(chat, question, thinks=True):
    if thinks:
        chat.page.click("#effort")
    chat.page.fill("#prompt", question)
    chat.page.click("#send")
    chat.wait()
    chat.page.wait_for_timeout(700)


def to_top(chat):
    chat.page.evaluate("conversation.scrollTop = 0")
    chat.page.wait_for_timeout(200)


def take(chat, folder, name):
    chat.page.mouse.move(0, 0)
    chat.page.screenshot(path=folder / f"chat-{name}.png")
    assert chat.end() == []
    print(folder / f"chat-{name}.png")


def pictures(browser, url, folder, question):
    for scheme in ("light", "dark"):
        chat = Visit(browser, url, color_scheme=scheme, **DESKTOP)
        ask(chat, question)
        if scheme == "dark":
            chat.page.click("summary")
        to_top(chat)
        take(chat, folder, scheme)
    chat = Visit(browser, url, color_scheme="light", **PHONE)
    ask(chat, question)
    to_top(chat)
    take(chat, folder, "phone")


def tool_picture(browser, url, folder):
    chat = Visit(browser, url, color_scheme="light", **DESKTOP)
    chat.settings(Tools=demonstration.TOOLS)
    chat.close_settings()
    chat.page.set_input_files("#attach-file", {"name": "sky.png", "mimeType": "image/png", "buffer": demonstration.picture()})
    chat.page.wait_for_selector("#attached img")
    ask(chat, "This is the view from my window in Marseille. Do I need a jacket?", thinks=False)
    chat.page.fill(".results textarea", '{"temperature": 11, "wind": "NNW 62 km/h"}')
    chat.page.wait_for_timeout(200)
    take(chat, folder, "tools")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    question = os.environ.get("TRAMONTANE_QUESTION")
    os.environ["FONTCONFIG_FILE"] = str(HERE / "fonts.conf")
    with tempfile.TemporaryDirectory() as place, real_server(Path(place)) as url, sync_playwright() as playwright:
        browser = launch(playwright)
        stand_in = StandIn(url)
        stand_in.deltas = demonstration.deltas
        pictures(browser, url if question else stand_in.url, folder, question or demonstration.QUESTION)
        tool_picture(browser, stand_in.url, folder)
        stand_in.close()
        browser.close()


if __name__ == "__main__":
    main()
