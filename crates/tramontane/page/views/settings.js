// The settings: what goes along with this chat's messages, how the page looks, the key.
import { el, iconButton } from "../dom.js";
import { parseFormat, parseTools, SettingError } from "../request.js";
import { apiKey, setApiKey, setTheme, theme } from "../preferences.js";

const EXAMPLE_TOOLS = '[{"type": "function", "function": {\n  "name": "get_weather",\n  "description": "The weather in a city",\n  "parameters": {"type": "object",\n    "properties": {"city": {"type": "string"}},\n    "required": ["city"]}}}]';
const EXAMPLE_SCHEMA = '{"type": "object",\n "properties": {"city": {"type": "string"}},\n "required": ["city"]}';
const FORMATS = [["text", "Free text"], ["json_object", "JSON"], ["json_schema", "JSON by a schema"]];
const THEMES = [["system", "System"], ["light", "Light"], ["dark", "Dark"]];
const NUMBERS = [
  ["temperature", "Temperature", "the model's own", "0.05"],
  ["top_p", "Top-p", "1", "0.05"],
  ["max_tokens", "Longest reply, tokens", "what fits", "1"],
  ["seed", "Seed", "a new one each time", "1"],
];

let number = 0;

/** A labelled field; `check` says what is wrong with its value, or nothing. */
function field(label, input, { hint, check } = {}) {
  const id = `field-${++number}`;
  input.id = id;
  const fault = el("p", { class: "fault", id: `${id}-fault`, role: "status" });
  const notes = hint ? el("p", { class: "hint", id: `${id}-hint`, text: hint }) : null;
  input.setAttribute("aria-describedby", [hint && `${id}-hint`, `${id}-fault`].filter(Boolean).join(" "));
  const look = () => {
    fault.textContent = check?.() ?? "";
    input.setAttribute("aria-invalid", String(Boolean(fault.textContent)));
  };
  input.addEventListener("input", look);
  look();
  return { node: el("div", { class: "field" }, el("label", { for: id, text: label }), notes, input, fault), look };
}

function choice(legend, name, options, value, onChange) {
  const labels = options.map(([key, text]) =>
    el("label", {}, el("input", { type: "radio", name, value: key, checked: key === value, on: { change: () => onChange(key) } }), el("span", { text })));
  return el("fieldset", { class: "choice" }, el("legend", { text: legend }), el("div", { class: "segments" }, ...labels));
}

const fault = (check) => () => {
  try {
    check();
    return "";
  } catch (error) {
    if (error instanceof SettingError) return error.message;
    throw error;
  }
};

/** Opens the dialog. `actions`: changed(settings), keep(settings), forgetAll(). `section`: which field has the focus. */
export function openSettings(settings, actions, section) {
  const given = { ...settings };
  const set = (name) => (event) => {
    given[name] = event.target.value;
    actions.changed({ ...given });
  };
  const area = (name, rows, props) => el("textarea", { rows, value: given[name], spellcheck: "false", on: { input: set(name) }, ...props });

  const system = area("system", "3", { placeholder: "None", spellcheck: "true" });
  const tools = area("tools", "5", { class: "mono", placeholder: EXAMPLE_TOOLS });
  const schema = area("schema", "5", { class: "mono", placeholder: EXAMPLE_SCHEMA });
  const schemaField = field("JSON schema", schema, { check: fault(() => schema.value.trim() && parseFormat({ format: "json_schema", schema: schema.value })) });
  schemaField.node.hidden = given.format !== "json_schema";
  const setFormat = (format) => {
    given.format = format;
    schemaField.node.hidden = format !== "json_schema";
    actions.changed({ ...given });
  };
  const numbers = NUMBERS.map(([name, label, placeholder, step]) =>
    field(label, el("input", { type: "number", min: "0", step, placeholder, value: given[name], on: { input: set(name) } })).node);
  const key = el("input", { type: "password", autocomplete: "off", value: apiKey(), placeholder: "None", on: { change: () => setApiKey(key.value) } });

  const keep = el("button", { type: "button", class: "plain-button", text: "Use for new chats" });
  keep.addEventListener("click", () => {
    actions.keep({ ...given });
    keep.textContent = "New chats begin like this";
  });
  const forget = el("button", { type: "button", class: "plain-button danger", text: "Delete all chats" });
  forget.addEventListener("click", () => {
    if (forget.dataset.sure) return dialog.close(), actions.forgetAll();
    forget.dataset.sure = "yes";
    forget.textContent = "Really delete every chat";
    return undefined;
  });

  const dialog = el("dialog", { class: "settings", "aria-labelledby": "settings-title" },
    el("div", { class: "bar" }, el("h2", { id: "settings-title", text: "Settings" }), iconButton("close", "Close the settings", () => dialog.close())),
    el("div", { class: "sections" },
      el("section", {}, el("h3", { text: "This chat" }),
        field("System prompt", system).node,
        field("Tools", tools, { hint: "Definitions as JSON. The page shows the calls; you type the results.", check: fault(() => parseTools(tools.value)) }).node,
        choice("Replies are", "format", FORMATS, given.format, setFormat), schemaField.node,
        el("div", { class: "numbers" }, ...numbers), keep),
      el("section", {}, el("h3", { text: "This browser" }),
        choice("Appearance", "theme", THEMES, theme(), setTheme),
        field("API key", key, { hint: "Only where the server asks for one. Kept in this browser, sent to this server only." }).node, forget)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  ({ system, tools, format: dialog.querySelector("[name=format]:checked") })[section]?.focus();
}
