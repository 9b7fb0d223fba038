"""A proxy between an agent and the server that makes the model's choices, so that a loop of tools can be checked on any model.

An agent leaves `tool_choice` to the model. The proxy adds to each request what OpenAI's form has for that: until there is a
result, the first tool whose name is given must be called, with arguments out of a given schema; after it, the model must say
one given sentence. The client is untouched, and what the server sends back passes through byte for byte.
"""

import http.client
import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

from local import THOUGHT, URL

SAID = "That is what it says."


def forced(body: dict, tool: str, arguments: dict) -> dict:
    body = dict(body) | {"logit_bias": THOUGHT}  # where the effort is high: a thought, of one token
    if any(message["role"] == "tool" for message in body["messages"]):
        body["tool_choice"] = "none"
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "said", "strict": True, "schema": {"enum": [SAID]}}}
        return body
    offered = [entry for entry in body.get("tools") or [] if entry["function"]["name"] == tool]
    if offered:
        exact = {name: {"enum": [value]} for name, value in arguments.items()}
        schema = {"type": "object", "properties": exact, "required": list(exact), "additionalProperties": False}
        body["tools"] = [{**entry, "function": {**entry["function"], "parameters": schema, "strict": True}} if entry in offered else entry
                         for entry in body["tools"]]
        body["tool_choice"] = {"type": "function", "function": {"name": tool}}
        body["parallel_tool_calls"] = False
    return body


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append({"path": self.path, "headers": dict(self.headers), "body": body})
        sent = json.dumps(forced(body, self.server.tool, self.server.arguments)).encode()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "connection", "accept-encoding")}
        upstream = http.client.HTTPConnection(urlsplit(URL).netloc, timeout=300)
        upstream.request("POST", self.path, sent, headers)
        reply = upstream.getresponse()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        received = b""
        try:
            while part := reply.read1(65536):
                received += part
                self.wfile.write(part)
                self.wfile.flush()
        except OSError:  # the agent left: so does the proxy, and the server's sequence ends
            upstream.close()
        self.server.replies.append((reply.status, received.decode("utf-8", "replace")))
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def forcing(tool: str, arguments: dict):
    """A proxy whose `url` takes the server's place; `seen` and `replies` hold what passed through."""
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    proxy.tool, proxy.arguments, proxy.seen, proxy.replies = tool, arguments, [], []
    proxy.url = f"http://127.0.0.1:{proxy.server_address[1]}"
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()


def the_round_trip(proxy, tool: str, result: str):
    """Checks that what passed was: a call of the tool, and a second request that brings its result."""
    assert proxy.replies and all(status == 200 for status, _ in proxy.replies), proxy.replies
    last = proxy.seen[-1]["body"]["messages"]
    called = [call["function"]["name"] for message in last for call in message.get("tool_calls") or []]
    results = [message["content"] for message in last if message["role"] == "tool"]
    assert called == [tool], called
    assert len(results) == 1 and result in json.dumps(results[0]), results
