// A chat as data: a tree of messages and which branch is shown. Knows neither the page nor the server.
//
// chat: { id, title, named, created, updated, settings, messages: [message], selected: { parent id or "": child id } }
// message: { id, parent, role: "user" | "assistant" | "tool", content, images?, reasoning?, tool_calls?, tool_call_id?,
//            name?, json? (it is JSON by request), state?: "running" | "stopped" | "failed", error?, finish?, stats? }
import { newId } from "./dom.js";

/** What a chat sends along with its messages. */
export const DEFAULTS = Object.freeze({
  model: "", effort: "none", system: "", tools: "", format: "text", schema: "",
  temperature: "", top_p: "", max_tokens: "", seed: "",
});

const TITLE_LENGTH = 60;

export function newChat(settings) {
  const now = Date.now();
  return { id: newId(), title: "New chat", named: false, created: now, updated: now, settings: { ...DEFAULTS, ...settings }, messages: [], selected: {} };
}

export const find = (chat, id) => chat.messages.find((message) => message.id === id);

const children = (chat, parent) => chat.messages.filter((message) => message.parent === parent);

/** The messages shown, first to last. */
export function path(chat) {
  const byParent = new Map();
  for (const message of chat.messages) {
    if (!byParent.has(message.parent)) byParent.set(message.parent, []);
    byParent.get(message.parent).push(message);
  }
  const shown = [];
  for (let next = byParent.get(null); next; ) {
    const parent = next[0].parent ?? "";
    const message = next.find((one) => one.id === chat.selected[parent]) ?? next.at(-1);
    shown.push(message);
    next = byParent.get(message.id);
  }
  return shown;
}

/** The messages up to this one, first to last. */
export function pathTo(chat, id) {
  const up = [];
  for (let message = find(chat, id); message; message = find(chat, message.parent)) up.push(message);
  return up.reverse();
}

/** Adds a message below `parent` (null: at the top) and shows it. */
export function append(chat, parent, message) {
  const whole = { id: newId(), parent, ...message };
  chat.messages.push(whole);
  chat.selected[parent ?? ""] = whole.id;
  if (!chat.named && whole.role === "user" && parent === null) chat.title = titleOf(whole);
  chat.updated = Date.now();
  return whole;
}

function titleOf(message) {
  const text = message.content.replace(/\s+/g, " ").trim();
  if (!text) return message.images?.length ? "An image" : "New chat";
  const letters = Array.from(text);
  return letters.length > TITLE_LENGTH ? `${letters.slice(0, TITLE_LENGTH - 1).join("").trimEnd()}…` : text;
}

/** Where a message stands among its siblings: `{ index, count, previous, next }`. */
export function place(chat, message) {
  const all = children(chat, message.parent);
  const index = all.indexOf(message);
  return { index, count: all.length, previous: all[index - 1], next: all[index + 1] };
}

/** Shows the branch that this message is on. */
export function select(chat, message) {
  chat.selected[message.parent ?? ""] = message.id;
}
