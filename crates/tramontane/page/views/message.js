// One message of the conversation, by its role.
import { copyButton, el, iconButton, plural, seconds } from "../dom.js";
import { codeBlock } from "../markdown/clean.js";
import { Prose } from "../markdown/prose.js";
import { Calls, readable } from "./calls.js";
import { editor } from "./editor.js";
import { Thinking } from "./thinking.js";

const rate = (value) => (value >= 9.95 ? Math.round(value).toLocaleString("en") : value.toFixed(1));

/** Speed in words: `42 tokens · 18 tokens/s · first after 0.4 s`. */
function speed(stats) {
  if (!stats?.tokens) return "";
  const parts = [plural(stats.tokens, "token")];
  if (stats.rate) parts.push(`${rate(stats.rate)} tokens/s`);
  if (stats.first_ms !== undefined) parts.push(`first after ${seconds(stats.first_ms)}`);
  return parts.join(" · ");
}

function prompt(stats) {
  if (!stats?.prompt_tokens) return "";
  const cached = stats.cached_tokens ? `, ${stats.cached_tokens.toLocaleString("en")} of them from the cache` : "";
  return `Prompt: ${plural(stats.prompt_tokens, "token")}${cached}`;
}

/** "2/3" with a way to both sides, where a message has siblings. */
function switcher(place, onSelect) {
  const button = (name, label, target) => iconButton(name, label, () => onSelect(target), { disabled: !target });
  return el("span", { class: "switcher", role: "group", "aria-label": "Versions" },
    button("left", "Previous version", place.previous),
    el("span", { class: "count", text: `${place.index + 1}/${place.count}`, "aria-label": `Version ${place.index + 1} of ${place.count}` }),
    button("right", "Next version", place.next));
}

/** What all messages have: a heading for screen readers, a body, and a row of things to do. */
class Message {
  constructor(message, actions, heading) {
    this.message = message;
    this.actions = actions;
    this.foot = el("div", { class: "foot" });
    this.body = el("div", { class: "body" });
    this.node = el("article", { class: `message ${message.role}`, data: { id: message.id } },
      el("h2", { class: "hidden", text: heading }), this.body, this.foot);
  }

  drawFoot(place, ...items) {
    const switches = place.count > 1 ? switcher(place, (target) => this.actions.select(target)) : null;
    this.foot.replaceChildren(...[switches, ...items].filter(Boolean));
  }

  edit() {
    const close = () => {
      form.remove();
      this.body.hidden = this.foot.hidden = false;
      this.foot.querySelector("[data-edit]")?.focus();
    };
    const done = (text, images) => {
      close();
      this.actions.edit(this.message, text, images);
    };
    const form = editor(this.message.content, this.message.images ?? [], done, close);
    this.body.hidden = this.foot.hidden = true;
    this.node.append(form);
  }

  editButton() {
    return iconButton("pencil", "Edit and send again", () => this.edit(), { "data-edit": "" });
  }
}

class UserMessage extends Message {
  constructor(message, actions) {
    super(message, actions, "You");
    if (message.images?.length) {
      const pictures = message.images.map((src, index) => el("img", { src, alt: `Image ${index + 1} of your message` }));
      this.body.append(el("div", { class: "pictures" }, ...pictures));
    }
    if (message.content) this.body.append(el("div", { class: "said", text: message.content }));
  }

  show(place, { isRunning }) {
    this.drawFoot(place, isRunning ? null : this.editButton(), this.message.content ? copyButton("Copy the message", () => this.message.content) : null);
  }
}

class ToolMessage extends Message {
  constructor(message, actions) {
    super(message, actions, `Result of ${message.name}`);
    this.body.append(el("p", { class: "call-name" }, "Result of ", el("code", { text: message.name })), codeBlock(readable(message.content), "result"));
  }

  show(place, { isRunning }) {
    this.drawFoot(place, isRunning ? null : this.editButton());
  }
}

/** What is said below a reply that did not just end. */
const ENDINGS = {
  length: "The reply ends here because it reached its longest length.",
  stopped: "Stopped.",
};

class AssistantMessage extends Message {
  constructor(message, actions) {
    super(message, actions, "Reply");
    this.thinking = new Thinking();
    this.waiting = el("p", { class: "waiting", "aria-hidden": "true" }, el("span"), el("span"), el("span"));
    const text = el("div", { class: "prose" });
    this.prose = new Prose(text);
    this.prose.onDraw = () => actions.drawn();
    this.calls = new Calls((results) => actions.answer(this.message, results));
    this.note = el("p", { class: "note", hidden: true });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.body.append(this.thinking.node, text, this.calls.node, this.waiting, this.note, this.error);
    this.live = el("span", { class: "stats" });
  }

  /** `incoming`: the reply as it comes in; `isLast`: nothing follows it. */
  show(place, { incoming, isLast, isRunning }) {
    const { message } = this;
    const stats = incoming?.stats() ?? message.stats;
    const calls = message.tool_calls?.filter(Boolean) ?? [];
    this.thinking.show(message, stats, incoming?.isThinking ?? false);
    if (message.json) this.prose.showCode(message.content, "json");
    else this.prose.show(message.content, Boolean(incoming));
    this.calls.show(calls, isLast && !incoming && calls.length > 0 && message.state !== "failed");
    this.waiting.hidden = !incoming || Boolean(message.reasoning || message.content || calls.length);
    this.node.setAttribute("aria-busy", String(Boolean(incoming)));
    const isEmpty = !message.content && calls.length === 0 && !message.state;
    const ending = incoming ? "" : ENDINGS[message.state] ?? ENDINGS[message.finish] ?? (isEmpty ? "The reply is empty." : "");
    this.note.hidden = !ending;
    this.note.textContent = ending;
    this.error.hidden = !message.error;
    this.error.textContent = message.error ?? "";
    this.live.textContent = speed(stats);
    this.live.title = prompt(stats);
    if (incoming) {
      if (this.live.parentNode !== this.foot || this.foot.childElementCount > 1) this.foot.replaceChildren(this.live);
      return;
    }
    const copy = message.content ? copyButton("Copy the reply", () => message.content) : null;
    const retry = isRunning ? null : iconButton("retry", "Try again", () => this.actions.retry(message));
    this.drawFoot(place, copy, retry, this.live);
  }
}

const VIEWS = { user: UserMessage, tool: ToolMessage, assistant: AssistantMessage };

/** The view of a message. */
export const messageView = (message, actions) => new VIEWS[message.role](message, actions);
