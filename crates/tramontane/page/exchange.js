// Chats to and from files. What comes from a file is checked piece by piece and never trusted further.
import { newId, el } from "./dom.js";
import { DEFAULTS } from "./tree.js";

const FORMAT = "tramontane-chats";

/** Hands the chats to the browser as a file to save. */
export function exportChats(chats) {
  const text = JSON.stringify({ format: FORMAT, version: 1, exported: new Date().toISOString(), chats }, null, 1);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const name = chats.length === 1 ? chats[0].title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "chat" : "chats";
  el("a", { href: url, download: `tramontane-${name}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

class NotOurs extends Error {}

const text = (value, what) => {
  if (typeof value !== "string") throw new NotOurs(`${what} is no text`);
  return value;
};
const optional = (value, what) => (value === undefined || value === null ? undefined : text(value, what));
const list = (value, what) => {
  if (!Array.isArray(value)) throw new NotOurs(`${what} is no list`);
  return value;
};
const time = (value) => (Number.isFinite(value) ? value : Date.now());

function image(value) {
  if (!/^data:image\/(png|jpeg|gif|webp|bmp);base64,[A-Za-z0-9+/=]*$/.test(text(value, "an image"))) throw new NotOurs("an image is no image");
  return value;
}

function call(value) {
  const { name, arguments: given } = value?.function ?? {};
  return { id: text(value?.id, "a call's id"), type: "function", function: { name: text(name, "a call's name"), arguments: text(given, "a call's arguments") } };
}

function message(value, seen) {
  if (!["user", "assistant", "tool"].includes(value?.role)) throw new NotOurs("a message has no role");
  const parent = value.parent ?? null;
  if (parent !== null && !seen.has(parent)) throw new NotOurs("a message comes before the one that it answers");
  const one = { id: text(value.id, "a message's id"), parent, role: value.role, content: text(value.content, "a message") };
  if (seen.has(one.id) || one.id === "") throw new NotOurs("two messages have one id");
  seen.add(one.id);
  if (value.images) one.images = list(value.images, "images").map(image);
  if (value.tool_calls) one.tool_calls = list(value.tool_calls, "tool calls").map(call);
  for (const name of ["reasoning", "tool_call_id", "name", "error", "finish"]) {
    const given = optional(value[name], name);
    if (given !== undefined) one[name] = given;
  }
  if (value.json === true) one.json = true;
  if (["stopped", "failed"].includes(value.state)) one.state = value.state;
  if (value.state === "running") one.state = "stopped";
  if (value.stats && typeof value.stats === "object") {
    one.stats = Object.fromEntries(Object.entries(value.stats).filter(([, number]) => Number.isFinite(number)));
  }
  return one;
}

function chat(value) {
  const seen = new Set();
  const messages = list(value?.messages, "messages").map((one) => message(one, seen));
  const settings = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) settings[name] = optional(value.settings?.[name], name) ?? DEFAULTS[name];
  const selected = {};
  for (const [parent, child] of Object.entries(value.selected ?? {})) if (seen.has(child)) selected[parent] = child;
  return { id: newId(), title: text(value.title, "a title").slice(0, 200), named: value.named === true, created: time(value.created), updated: time(value.updated), settings, messages, selected };
}

/** The chats in a file, as new ones. Throws an error that says what is wrong with it. */
export function importChats(source) {
  let given;
  try {
    given = JSON.parse(source);
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (given?.format !== FORMAT || given.version !== 1) throw new Error("The file holds no chats of this page.");
  try {
    return list(given.chats, "chats").map(chat);
  } catch (error) {
    if (error instanceof NotOurs) throw new Error(`The file is damaged: ${error.message}.`);
    throw error;
  }
}
