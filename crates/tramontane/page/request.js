// From a chat to the body of a request. Throws `SettingError` where what was typed as JSON is none.

export class SettingError extends Error {}

function json(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SettingError(`${what}: not JSON (${error.message})`);
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The tools in `text`: a list or a single one, each whole or just its `function` part. */
export function parseTools(text) {
  if (!text.trim()) return [];
  const given = json(text, "Tools");
  const list = Array.isArray(given) ? given : Array.isArray(given?.tools) ? given.tools : [given];
  return list.map((tool, index) => {
    const whole = isObject(tool) && !tool.function && tool.name ? { type: "function", function: tool } : tool;
    if (!isObject(whole) || typeof whole.function?.name !== "string") {
      throw new SettingError(`Tools: number ${index + 1} has no function with a name`);
    }
    return whole;
  });
}

/** The `response_format` that the settings ask for, or nothing. */
export function parseFormat({ format, schema }) {
  if (format === "json_object") return { type: "json_object" };
  if (format !== "json_schema") return undefined;
  const given = json(schema, "JSON schema");
  if (!isObject(given)) throw new SettingError("JSON schema: expected an object");
  const wrapped = isObject(given.json_schema) ? given.json_schema : given;
  const json_schema = isObject(wrapped.schema) ? wrapped : { name: "reply", schema: wrapped };
  return { type: "json_schema", json_schema: { name: "reply", strict: true, ...json_schema } };
}

function number(text, what) {
  if (!String(text).trim()) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new SettingError(`${what}: not a number`);
  return value;
}

/** A message as the server takes it. */
function wire(message) {
  if (message.role === "tool") {
    return { role: "tool", content: message.content, tool_call_id: message.tool_call_id, name: message.name };
  }
  if (message.role === "assistant") {
    const { content, reasoning, tool_calls } = message;
    return { role: "assistant", content, ...(reasoning && { reasoning_content: reasoning }), ...(tool_calls?.length && { tool_calls }) };
  }
  if (!message.images?.length) return { role: "user", content: message.content };
  const images = message.images.map((url) => ({ type: "image_url", image_url: { url } }));
  const text = message.content ? [{ type: "text", text: message.content }] : [];
  return { role: "user", content: [...images, ...text] };
}

/** The body that asks for the message after `messages`. `canThink`: the model takes an effort. */
export function bodyOf(settings, messages, canThink) {
  const tools = parseTools(settings.tools);
  const system = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  // A reply that failed before its first word, or was stopped there, is nothing to answer to.
  const said = messages.filter((one) => one.role !== "assistant" || one.content || one.tool_calls?.length);
  return {
    model: settings.model || undefined,
    messages: [...system, ...said.map(wire)],
    stream: true,
    stream_options: { include_usage: true },
    reasoning_effort: canThink ? settings.effort : undefined,
    tools: tools.length ? tools : undefined,
    response_format: parseFormat(settings),
    temperature: number(settings.temperature, "Temperature"),
    top_p: number(settings.top_p, "Top-p"),
    max_tokens: number(settings.max_tokens, "Longest reply"),
    seed: number(settings.seed, "Seed"),
  };
}
