// The conversation: the messages of the shown branch, and a scroll position that follows the end unless someone reads
// further up.
import { $ } from "../dom.js";
import { path, place } from "../tree.js";
import { messageView } from "./message.js";

/** So near the end counts as being there, in CSS pixels. */
const NEAR = 60;

export class Conversation {
  /** `actions`: edit(message, text), retry(message), select(message), answer(message, results). */
  constructor(actions) {
    this.actions = { ...actions, drawn: () => this.follow() };
    this.views = new Map();
    this.follows = true;
    this.region = $("conversation");
    this.region.addEventListener("scroll", () => this.look(), { passive: true });
    new ResizeObserver(() => this.follow()).observe($("messages"));
    $("to-end").addEventListener("click", () => this.toEnd());
  }

  /** Shows a chat; `incoming`: its reply that is coming in, if any. */
  show(chat, incoming) {
    if (this.chat !== chat) {
      this.views.clear();
      $("messages").replaceChildren();
      this.chat = chat;
      this.follows = true;
    }
    const shown = path(chat);
    $("welcome").hidden = shown.length > 0;
    const kept = new Set(shown.map((message) => message.id));
    for (const [id, view] of this.views) {
      if (kept.has(id)) continue;
      view.node.remove();
      this.views.delete(id);
    }
    shown.forEach((message, index) => this.showMessage(message, index, shown.length, incoming));
    this.follow();
  }

  showMessage(message, index, count, incoming) {
    let view = this.views.get(message.id);
    if (!view) {
      view = messageView(message, this.actions);
      this.views.set(message.id, view);
    }
    const there = $("messages").children[index];
    if (there !== view.node) $("messages").insertBefore(view.node, there ?? null);
    const own = incoming?.message === message ? incoming : null;
    view.show(place(this.chat, message), { incoming: own, isLast: index === count - 1, isRunning: Boolean(incoming) });
  }

  /** Shows what has come in since. */
  update(incoming) {
    const view = this.views.get(incoming.message.id);
    if (view) view.show(place(this.chat, incoming.message), { incoming, isLast: true, isRunning: true });
  }

  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.region;
    this.follows = scrollHeight - scrollTop - clientHeight < NEAR;
    $("to-end").hidden = this.follows;
  }

  follow() {
    if (this.follows) this.region.scrollTop = this.region.scrollHeight;
    this.look();
  }

  toEnd() {
    this.follows = true;
    this.follow();
  }
}
