"""A server that speaks the chat API and says what a test wants it to, beside the real server's page.

`/` and `/page/` are handed on from the real server, so that its headers are under test. Standard library only.
"""

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CARD = {
    "id": "stand-in", "root": "stand-in", "object": "model", "max_model_len": 65536,
    "capabilities": {"completion_chat": True, "function_calling": True, "reasoning": True, "vision": True},
}


class StandIn:
    """`deltas(body)` gives what a reply consists of: deltas, and numbers, which are seconds to wait."""

    def __init__(self, page_url):
        self.page_url = page_url
        self.requests = []
        self.gone = threading.Event()
        self.deltas = lambda body: [{"content": "Hello."}]
        self.card = CARD
        self.refusal = None  # (status, error) instead of a reply
        self.key = None
        handler = type("Handler", (Handler,), {"owner": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def page_file(self, path):
        """Status, headers and bytes of a file of the page."""
        try:
            answer = urllib.request.urlopen(self.page_url.rstrip("/") + path)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, dict(answer.headers), answer.read()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: StandIn

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "date", "server", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say(self, status, value):
        self.answer(status, json.dumps(value).encode(), {"content-type": "application/json"})

    def is_let_in(self):
        key = self.owner.key
        if key is None or self.headers.get("authorization") == f"Bearer {key}":
            return True
        self.say(401, {"error": {"message": "no API key: send one as `Authorization: Bearer KEY`", "code": "invalid_api_key"}})
        return False

    def parse_request(self):
        """Everything is there under `/chat/`, too, as behind a proxy."""
        is_one = super().parse_request()
        if is_one and self.path.startswith("/chat/"):
            self.path = self.path.removeprefix("/chat")
        return is_one

    def do_GET(self):
        if self.path == "/v1/models":
            if self.is_let_in():
                self.say(200, {"object": "list", "data": [self.owner.card]})
        elif self.path == "/" or self.path.startswith("/page/"):
            status, headers, body = self.owner.page_file(self.path)
            self.answer(status, body, headers)
        else:
            self.say(404, {"error": {"message": "no such path"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.is_let_in():
            return
        self.owner.requests.append(body)
        if self.owner.refusal:
            status, message = self.owner.refusal
            self.say(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.stream(self.owner.deltas(body))
        except OSError:
            self.owner.gone.set()

    def event(self, data):
        self.wfile.write(b"data: " + data.encode() + b"\n\n")
        self.wfile.flush()

    def chunk(self, choices, usage=None):
        self.event(json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "stand-in", "choices": choices, "usage": usage}))

    def stream(self, deltas):
        count = thoughts = 0
        finish = "stop"
        self.chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for delta in deltas:
            if isinstance(delta, (int, float)):
                time.sleep(delta)
                continue
            count += 1
            thoughts += "reasoning_content" in delta
            finish = "tool_calls" if "tool_calls" in delta else finish
            self.chunk([{"index": 0, "delta": delta, "finish_reason": None}])
        self.chunk([{"index": 0, "delta": {}, "finish_reason": finish}])
        details = {"reasoning_tokens": thoughts}
        self.chunk([], {"prompt_tokens": 20, "completion_tokens": count, "total_tokens": 20 + count, "completion_tokens_details": details})
        self.event("[DONE]")
