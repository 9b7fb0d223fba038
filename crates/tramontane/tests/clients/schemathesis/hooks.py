"""Keeps generated requests cheap: replies of a few tokens, whatever else is asked."""

import schemathesis

FEW = 8


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict) or case.path not in ("/v1/chat/completions", "/v1/completions"):
        return
    for name in ("max_tokens", "max_completion_tokens"):
        if isinstance(body.get(name), int) and body[name] > FEW:
            body[name] = FEW
    if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
        body["max_tokens"] = FEW
