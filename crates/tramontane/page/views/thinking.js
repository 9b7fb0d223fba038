// A thought, folded: how long it took, how many tokens it has, and its text where someone opens it.
import { el, icon, plural, seconds } from "../dom.js";
import { Prose } from "../markdown/prose.js";

export class Thinking {
  constructor() {
    this.label = el("span", { class: "label" });
    const body = el("div", { class: "prose thought" });
    this.prose = new Prose(body);
    this.node = el("details", { class: "thinking", on: { toggle: () => this.draw() } }, el("summary", {}, icon("right"), this.label), body);
  }

  /** Shows a message's thought; `isThinking`: it goes on. */
  show(message, stats, isThinking) {
    this.text = message.reasoning ?? "";
    this.isThinking = isThinking;
    this.node.hidden = !this.text;
    this.node.classList.toggle("running", isThinking);
    this.label.textContent = label(stats, isThinking);
    this.draw();
  }

  draw() {
    if (this.node.open && this.text) this.prose.show(this.text, this.isThinking);
  }
}

function label(stats, isThinking) {
  const took = stats?.thought_ms === undefined ? "" : ` for ${seconds(stats.thought_ms)}`;
  if (isThinking) return took ? `Thinking${took}` : "Thinking";
  const length = stats?.reasoning_tokens ? ` · ${plural(stats.reasoning_tokens, "token")}` : "";
  return `Thought${took}${length}`;
}
