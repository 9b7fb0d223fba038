// Ties the page together: which chat is open, which replies are running, what each button does.
import { models, ApiError } from "./api.js";
import { $, announce, drawIcons, el, toast } from "./dom.js";
import { exportChats, importChats } from "./exchange.js";
import { firstSettings, setFirstSettings } from "./preferences.js";
import { parseTools } from "./request.js";
import { Run } from "./run.js";
import * as store from "./store.js";
import * as tree from "./tree.js";
import { Composer } from "./views/composer.js";
import { Conversation } from "./views/conversation.js";
import { askForKey } from "./views/key.js";
import { openSettings } from "./views/settings.js";
import { Sidebar } from "./views/sidebar.js";

const SAVE_MS = 1_500;
const RETRY_MODELS_MS = 2_000;
/** Replies up to this many characters are read out whole. */
const READ_OUT = 400;

let chat = tree.newChat(firstSettings());
let cards = [];
/** Replies on their way, by chat. A chat that is left goes on in the background. */
const runs = new Map();
/** Chats that were deleted, which the end of their reply must not bring back. */
const removed = new Set();

const conversation = new Conversation({ edit, retry, select, answer });
const composer = new Composer({ send, stop, setEffort, openSettings: showSettings });
const sidebar = new Sidebar({ rename, remove });

// ---- what is shown

function show() {
  const run = runs.get(chat.id);
  conversation.show(chat, run?.incoming);
  composer.setRunning(Boolean(run));
  document.title = chat.messages.length > 0 ? `${chat.title} · Tramontane` : "Tramontane";
  showModes();
}

function showModes() {
  const { effort, system, tools, format } = chat.settings;
  const modes = [];
  if (system.trim()) modes.push({ section: "system", icon: "text", text: "System prompt" });
  if (tools.trim()) modes.push({ section: "tools", icon: "tool", text: toolsLabel(tools) });
  if (format !== "text") modes.push({ section: "format", icon: "braces", text: format === "json_schema" ? "JSON schema" : "JSON" });
  composer.showModes(effort, canThink(), modes);
  showContext();
}

function toolsLabel(text) {
  try {
    const count = parseTools(text).length;
    return `${count} ${count === 1 ? "tool" : "tools"}`;
  } catch {
    return "Tools: not valid";
  }
}

/** How much of the model's context the conversation has used. */
function showContext() {
  const used = tree.path(chat).findLast((message) => message.stats?.total_tokens)?.stats.total_tokens;
  const limit = card()?.max_model_len;
  $("context-note").textContent = used && limit ? `${used.toLocaleString("en")} of ${limit.toLocaleString("en")} tokens of context used` : "";
}

async function showChats() {
  try {
    sidebar.show(await store.heads(), chat.id);
  } catch {
    $("no-chats").textContent = "This browser keeps no chats (private window?). Export what you want to keep.";
  }
}

// ---- the model

const canThink = () => card()?.capabilities?.reasoning !== false;
const card = () => cards.find((one) => one.id === chat.settings.model) ?? cards[0];

function whereItRuns() {
  const { hostname } = location;
  const isHere = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (isHere) return "The model runs on this machine. Nothing you write leaves it.";
  return `The model runs on ${hostname}. What you write goes there and nowhere else.`;
}

async function findModels() {
  try {
    cards = await models();
    $("welcome-note").textContent = whereItRuns();
  } catch (error) {
    if (error.status === 401) {
      if (await askForKey(error.message)) return findModels();
      return undefined;
    }
    $("welcome-note").textContent = error.status === 503 ? "The model is being loaded…" : error.message;
    setTimeout(findModels, RETRY_MODELS_MS);
    return undefined;
  }
  showModels();
  showModes();
  return undefined;
}

function showModels() {
  if (cards.length === 0) return;
  const chosen = card();
  chat.settings.model = chosen.id;
  $("model").replaceChildren(...cards.map(({ id }) => el("option", { value: id, text: id })));
  $("model").value = chosen.id;
  $("model").disabled = false;
}

// ---- chats

async function keep(one) {
  if (removed.has(one.id)) return;
  try {
    await store.save(one);
  } catch (error) {
    toast(`This chat could not be kept in the browser (${error?.name ?? "no storage"}). Export it to keep it.`);
  }
  await showChats();
}

function open(next) {
  chat = next;
  showModels();
  show();
  showChats();
}

function startChat() {
  const { model, effort, temperature, top_p, max_tokens } = chat.settings;
  if (location.hash) history.pushState(null, "", location.pathname + location.search);
  open(tree.newChat({ model, effort, temperature, top_p, max_tokens, ...firstSettings() }));
  sidebar.close();
  $("prompt").focus();
}

/** Opens the chat that the address names. */
async function followAddress() {
  const id = location.hash.match(/^#\/chat\/(\w+)$/)?.[1];
  if (!id) return chat.messages.length > 0 ? startChat() : undefined;
  if (id === chat.id) return undefined;
  const running = runs.get(id)?.chat;
  const found = running ?? (await store.load(id).catch(() => undefined));
  if (!found) {
    toast("That chat is not in this browser.");
    history.replaceState(null, "", location.pathname + location.search);
    return undefined;
  }
  for (const message of found.messages) if (message.state === "running" && !running) message.state = "stopped";
  found.settings = { ...tree.DEFAULTS, ...found.settings };
  return open(found);
}

/** A chat by its id: the one in use where it is in use. */
const whole = (id) => (id === chat.id ? chat : runs.get(id)?.chat ?? store.load(id));

async function rename(id, title) {
  const one = await whole(id);
  if (title !== one.title) Object.assign(one, { title, named: true });
  await keep(one);
  if (one === chat) show();
  sidebar.focus(id);
}

async function remove(id) {
  const one = await whole(id);
  await forget(id);
  const undo = () => {
    removed.delete(id);
    keep(one);
  };
  toast(`“${one.title}” was deleted.`, { label: "Undo", run: undo });
  if (id === chat.id) startChat();
  else {
    await showChats();
    $("new-chat").focus();
  }
}

async function forget(id) {
  removed.add(id);
  runs.get(id)?.stop();
  await store.remove(id);
}

async function forgetAll() {
  for (const { id } of await store.heads()) await forget(id);
  startChat();
}

// ---- messages

function send(text, images) {
  if (runs.has(chat.id)) return false;
  const last = tree.path(chat).at(-1);
  const message = tree.append(chat, last?.id ?? null, { role: "user", content: text, ...(images.length && { images }) });
  conversation.follows = true;
  generate(message);
  return true;
}

function edit(message, content, images) {
  if (runs.has(chat.id)) return;
  const { role, tool_call_id, name } = message;
  const changed = tree.append(chat, message.parent, { role, content, ...(images.length && { images }), ...(role === "tool" && { tool_call_id, name }) });
  generate(changed);
  $("stop").focus();
}

function retry(message) {
  generate(tree.find(chat, message.parent));
  $("stop").focus();
}

function answer(message, results) {
  if (runs.has(chat.id)) return;
  let parent = message;
  for (const [index, call] of message.tool_calls.entries()) {
    parent = tree.append(chat, parent.id, { role: "tool", content: results[index], tool_call_id: call.id, name: call.function.name });
  }
  $("prompt").focus();
  generate(parent);
}

function select(message) {
  if (runs.has(chat.id)) return;
  tree.select(chat, message);
  keep(chat);
  show();
  const view = document.querySelector(`[data-id="${message.id}"] .switcher button:enabled`);
  view?.focus();
}

const emptyReply = ({ settings }) => ({ role: "assistant", content: "", ...(settings.format !== "text" && { json: true }) });

/** Asks for the reply to a message. */
async function generate(message) {
  if (runs.has(chat.id)) return;
  const own = chat;
  const run = new Run(own, tree.append(own, message.id, emptyReply(own)), tree.pathTo(own, message.id), canThink());
  runs.set(own.id, run);
  history.replaceState(null, "", `#/chat/${own.id}`);
  show();
  keep(own);
  announce("The reply begins");
  const fault = await follow(run);
  runs.delete(own.id);
  if (chat === own) show();
  await keep(own);
  tell(run, fault);
}

/** Draws and keeps a reply while it comes in. */
async function follow(run) {
  const draw = () => chat === run.chat && conversation.update(run.incoming);
  let frame = 0;
  const onChunk = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
  const clock = setInterval(draw, 250);
  const saver = setInterval(() => removed.has(run.chat.id) || store.save(run.chat).catch(() => {}), SAVE_MS);
  const fault = await run.go(onChunk);
  cancelAnimationFrame(frame);
  clearInterval(clock);
  clearInterval(saver);
  return fault;
}

/** Says how a reply ended; a key that is missing is asked for and the reply tried again. */
async function tell(run, fault) {
  const { content, state, tool_calls } = run.message;
  if (fault instanceof ApiError && fault.status === 401) {
    if ((await askForKey(fault.message)) && chat === run.chat) {
      if (cards.length === 0) await findModels();
      retry(run.message);
    }
  } else if (fault?.status === 404) await findModels();
  else if (state === "stopped") announce("Stopped");
  else if (tool_calls?.length) announce(`The model calls ${tool_calls.map((call) => call.function.name).join(", ")}`);
  else if (!state) announce(content.length <= READ_OUT ? `Reply: ${content}` : `The reply is complete, ${content.trim().split(/\s+/).length} words`);
}

function stop() {
  runs.get(chat.id)?.stop();
}

// ---- settings

function changed(settings) {
  chat.settings = settings;
  showModes();
  if (chat.messages.length > 0) keep(chat);
}

function setEffort(effort) {
  changed({ ...chat.settings, effort });
}

function showSettings(section) {
  openSettings(chat.settings, { changed, keep: setFirstSettings, forgetAll }, section);
}

// ---- the rest of the page

$("new-chat").addEventListener("click", startChat);
$("settings-open").addEventListener("click", () => showSettings());
$("model").addEventListener("change", () => changed({ ...chat.settings, model: $("model").value }));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("prompt").focus();
});
$("export").addEventListener("click", async () => {
  const all = await store.loadAll().catch(() => (chat.messages.length > 0 ? [chat] : []));
  if (all.length > 0) exportChats(all);
  else toast("There is no chat to export yet.");
});
$("import").addEventListener("click", () => $("import-file").click());
$("import-file").addEventListener("change", async () => {
  const [file] = $("import-file").files;
  $("import-file").value = "";
  if (!file) return;
  try {
    const found = importChats(await file.text());
    for (const one of found) await store.save(one);
    toast(`${found.length} ${found.length === 1 ? "chat" : "chats"} imported.`);
  } catch (error) {
    toast(error.message);
  }
  await showChats();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) stop();
});
addEventListener("hashchange", followAddress);
addEventListener("pagehide", () => runs.size > 0 && store.save(chat).catch(() => {}));

drawIcons(document);
show();
showChats();
followAddress();
findModels();
if (matchMedia("(pointer: fine)").matches) $("prompt").focus();
