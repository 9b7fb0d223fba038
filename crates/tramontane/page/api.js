// The server's endpoints, and its errors in words. Knows neither the page nor how chats are kept.
import { apiKey } from "./preferences.js";
import { events } from "./sse.js";

/** What went wrong, as the server said it. `status` is 0 where the server was not reached. */
export class ApiError extends Error {
  constructor(status, message, param) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

const UNREACHED = "The server did not answer. Is `tramontane serve` still running?";

async function call(path, options = {}) {
  const headers = { "x-tramontane-dialect": "openai", ...options.headers };
  if (apiKey()) headers.authorization = `Bearer ${apiKey()}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHED);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const text = await response.text().catch(() => "");
  try {
    const error = JSON.parse(text).error;
    return new ApiError(response.status, error.message, error.param);
  } catch {
    const said = text.trim().slice(0, 300) || response.statusText;
    return new ApiError(response.status, `The server answered ${response.status}${said ? `: ${said}` : ""}`);
  }
}

/** The model cards. A checkpoint that goes by several names is listed once. */
export async function models() {
  const { data } = await (await call("v1/models")).json();
  const own = data.filter((card) => !card.root || card.root === card.id);
  return own.length > 0 ? own : data;
}

/** The chunks of a reply, as they come. */
export async function* reply(body, signal) {
  const response = await call("v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(response.status, chunk.error.message ?? "the reply broke off", chunk.error.param);
    yield chunk;
  }
  throw new ApiError(0, "The connection ended before the reply did.");
}
