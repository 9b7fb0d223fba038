"""What the page's tests stand on: the real server on a scripted checkpoint, a stand-in that says what a test wants, and a
browser in which nothing may go wrong unseen.

Environment: TRAMONTANE, the binary, or TRAMONTANE_URL, a server that runs already; TRAMONTANE_MODEL, a model (left out, the
scripted one is made); CHROMIUM, the browser.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from stand_in import StandIn

HERE = Path(__file__).resolve().parent
SCRIPTED = HERE.parent / "clients" / "scripted_model.py"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

# Runs before the page's own scripts: what hostile output would love to call leaves a trace.
TRAPS = """
window.traces = [];
for (const name of ["alert", "confirm", "prompt", "open"]) window[name] = () => { window.traces.push(name); };
document.addEventListener("securitypolicyviolation", (event) => window.traces.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def find_chromium():
    given = os.environ.get("CHROMIUM")
    names = [given] if given else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "no Chromium was found; install one (Debian: apt-get install chromium), or set CHROMIUM to its path"
    return found


@contextmanager
def real_server(folder):
    """The address of the server under test."""
    if "TRAMONTANE_URL" in os.environ:
        yield os.environ["TRAMONTANE_URL"]
        return
    model = os.environ.get("TRAMONTANE_MODEL")
    if not model:
        model = str(folder / "scripted")
        subprocess.run([sys.executable, str(SCRIPTED), model], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as out:
        command = [os.environ["TRAMONTANE"], "serve", "-m", model, "--port", str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url, process, log):
    for _ in range(1200):
        if process.poll() is not None:
            break
        try:
            return urllib.request.urlopen(url + "ready").close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not become ready; it said:\n{log.read_text()}")


@pytest.fixture(scope="session")
def server_url(tmp_path_factory):
    with real_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def stand_in(server_url):
    one = StandIn(server_url)
    yield one
    one.close()


def launch(playwright):
    # A container's root has no sandbox to give.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=find_chromium(), args=arguments)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        one = launch(playwright)
        yield one
        one.close()


class Visit:
    """A page of the chat in a context of its own, and the steps that tests share."""

    def __init__(self, browser, url, wait_for_model=True, **options):
        self.url = url
        self.context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(TRAPS)
        self.page = self.context.new_page()
        self.faults = []
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self.on_request)
        self.page.on("popup", lambda popup: self.faults.append(f"popup: {popup.url}"))
        self.open(wait_for_model)

    def on_console(self, message):
        # Chromium reports every refused request, which tests provoke.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def on_request(self, request):
        if not request.url.startswith((self.url, "data:image/", "blob:" + self.url)):
            self.faults.append(f"request: {request.url[:200]}")

    def open(self, wait_for_model=True):
        self.page.goto(self.url)
        if wait_for_model:
            expect(self.page.locator("#model")).to_be_enabled()

    def end(self):
        """Closes the page; what went wrong in it."""
        self.faults += self.page.evaluate("window.traces")
        self.context.close()
        return self.faults

    def send(self, text, wait=True):
        self.page.fill("#prompt", text)
        self.page.press("#prompt", "Enter")
        if wait:
            self.wait()

    def wait(self):
        """Until no reply is running."""
        expect(self.page.locator("#stop")).to_be_hidden()

    @property
    def replies(self):
        return self.page.locator(".message.assistant")

    @property
    def last(self):
        return self.replies.last

    def settings(self, **fields):
        """Fills fields of the settings by their labels."""
        self.page.click("#settings-open")
        for label, value in fields.items():
            self.page.get_by_label(label, exact=True).fill(value)

    def close_settings(self):
        self.page.get_by_role("button", name="Close the settings").click()


@pytest.fixture
def visit(browser):
    """Opens pages; when the test is over, none of them may have tried anything forbidden."""
    visits = []

    def begin(url, **options):
        visits.append(Visit(browser, url, **options))
        return visits[-1]

    yield begin
    faults = [fault for one in visits for fault in one.end()]
    assert faults == []
