#!/usr/bin/env bash
# Plain HTTP: JSON and SSE as they come over the wire, and the bodies of errors. Needs curl and Python (for reading JSON).
set -uo pipefail
base=$TRAMONTANE_URL strict=$TRAMONTANE_STRICT_URL passed=0 failed=0
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
model=mistral-small-latest
hello='"messages":[{"role":"user","content":"Hello there!"}]'

# request NAME CURL-ARGUMENTS…: leaves $status, $work/head and $work/body
request() {
  name=$1; shift
  status=$(curl -sS --max-time 60 -D "$work/head" -o "$work/body" -w '%{http_code}' "$@") || status="curl failed"
}
json() { request "$1" -H 'content-type: application/json' --data-binary "$2" "${@:4}" "$base$3"; }
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED: %s: %s\n  %s\n' "$name" "$1" "$(head -c 600 "$work/body")"; }
# is STATUS [PYTHON EXPRESSION over d, the JSON body]
is() {
  [ "$status" = "$1" ] || { bad "status $status, expected $1"; return; }
  [ $# = 1 ] && { ok; return; }
  "$TRAMONTANE_PYTHON" -c 'import json,sys; d=json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$work/body" "$2" 2>"$work/why" && ok || bad "not true: $2 $(tail -1 "$work/why")"
}
head_has() { grep -qiE "$1" "$work/head" && ok || bad "no header $1 in: $(tr '\r\n' ' ' <"$work/head")"; }
error='isinstance(d["error"]["message"], str) and {"message", "type", "param", "code"} <= set(d["error"])'

request health "$base/health"; is 200
request ready "$base/ready"; is 200
request version "$base/version"; is 200 'd["version"]'
request metrics "$base/metrics"; is 200; grep -q '^# TYPE ' "$work/body" && ok || bad "not Prometheus text"
request openapi "$base/openapi.json"; is 200 '"/v1/chat/completions" in d["paths"] and d["openapi"].startswith("3.")'

json reply '{"model":"'$model'",'"$hello"',"max_tokens":20}' /v1/chat/completions
is 200 'd["choices"][0]["message"]["role"] == "assistant" and d["usage"]["completion_tokens"] > 0'
head_has '^content-type: application/json'; head_has '^x-request-id: .'
json 'no model named' "{$hello,\"max_tokens\":5}" /v1/chat/completions
{ [ "$status" = 200 ] || [ "$status" = 400 ]; } && ok || bad "status $status"

# The stream, byte for byte: `data: {json}` lines and blank lines, [DONE] last.
json stream '{"model":"'$model'",'"$hello"',"max_tokens":20,"stream":true}' /v1/chat/completions -N
is 200; head_has '^content-type: text/event-stream'; head_has '^cache-control: no-cache'
"$TRAMONTANE_PYTHON" - "$work/body" <<'P' && ok || bad "not the form of a stream"
import json, sys
text = open(sys.argv[1], encoding="utf-8", newline="").read()
events = [event for event in text.replace("\r\n", "\n").split("\n\n") if event and not event.startswith(":")]
assert all(event.startswith("data: ") and "\n" not in event for event in events), events
assert events[-1] == "data: [DONE]" and text.endswith("\n\n"), events[-1]
chunks = [json.loads(event[6:]) for event in events[:-1]]
assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
assert sum(choice["finish_reason"] is not None for chunk in chunks for choice in chunk["choices"]) == 1
assert len({chunk["id"] for chunk in chunks}) == 1
P
json "Mistral's form by header" '{"model":"'$model'",'"$hello"',"max_tokens":300,"reasoning_effort":"high"}' /v1/chat/completions -H 'x-tramontane-dialect: mistral'
is 200 'isinstance(d["choices"][0]["message"]["content"], (str, list)) and "reasoning_content" not in d["choices"][0]["message"]'
json tokenize '{"model":"'$model'","prompt":"One two"}' /tokenize; is 200 'd["count"] == len(d["tokens"]) and d["max_model_len"] > 0'
json 'tokenize a chat' "{\"model\":\"$model\",$hello}" /tokenize; is 200 'd["tokens"][0] == 1'
json detokenize '{"tokens":[165,166]}' /detokenize; is 200 'isinstance(d["prompt"], str)'
request models "$base/v1/models"; is 200 'd["object"] == "list" and d["data"][0]["object"] == "model" and d["data"][0]["type"] == "base"'

json 'no JSON' '{"model":' /v1/chat/completions; is 400 "$error"
json 'no object' '[1,2]' /v1/chat/completions; is 400 "$error"
json 'invalid UTF-8' $'{"model":"\xff\xfe"}' /v1/chat/completions; is 400 "$error"
json 'no messages' '{"model":"'$model'"}' /v1/chat/completions; is 400 "$error and 'messages' in d['error']['message']"
json 'wrong type' '{"model":"'$model'","messages":7}' /v1/chat/completions; is 400 "$error"
json 'other model' "{\"model\":\"other\",$hello}" /v1/chat/completions; is 404 "$error and d['error']['code'] == 'model_not_found'"
json "the maker's error" '{"model":"'$model'",'"$hello"',"random_seed":1,"reasoning_effort":"medium"}' /v1/chat/completions
is 400 'd["object"] == "error" and d["code"] == "3051" and d["raw_status_code"] == 400'
request 'wrong method' -X DELETE "$base/v1/chat/completions"; is 405; head_has '^allow: .*POST'
request 'no such path' "$base/v1/nothing"; is 404 "$error"
request 'form data' -d 'model=x' "$base/v1/chat/completions"; { [ "$status" = 400 ] || [ "$status" = 415 ]; } && ok || bad "status $status"
json 'suffix' '{"model":"'$model'","prompt":"a","suffix":"b"}' /v1/completions; is 400 "$error and 'suffix' in d['error']['message']"
request 'no key' "$strict/v1/models"; is 401 "$error"; head_has '^www-authenticate: bearer'
request 'wrong key' -H 'authorization: Bearer nope' "$strict/v1/models"; is 401 "$error"
request 'right key' -H "authorization: Bearer $TRAMONTANE_STRICT_KEY" "$strict/v1/models"; is 200
request 'health needs no key' "$strict/health"; is 200

echo "$passed passed, $failed failed"
[ -n "${TRAMONTANE_REPORT:-}" ] && echo "{\"passed\": $passed, \"not_run\": 0}" >"$TRAMONTANE_REPORT"
[ "$failed" = 0 ]
