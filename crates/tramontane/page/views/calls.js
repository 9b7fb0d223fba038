// Tool calls in a reply, and the form that takes their results.
import { el, icon } from "../dom.js";
import { codeBlock } from "../markdown/clean.js";

/** JSON with room to read, or the text itself while it is no JSON yet. */
export function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function heading(call) {
  return el("p", { class: "call-name" }, icon("tool"), el("span", { text: "Calls " }), el("code", { text: call.function.name || "…" }));
}

let number = 0;

/** The calls of a message. `onResults` is given where they wait for their results: it takes one text a call. */
export class Calls {
  constructor(onResults) {
    this.onResults = onResults;
    this.node = el("div", { class: "calls", hidden: true });
    this.drawn = [];
  }

  show(calls, isWaiting) {
    this.node.hidden = calls.length === 0;
    calls.forEach((call, index) => this.showCall(call, index));
    for (const extra of this.drawn.splice(calls.length)) extra.node.remove();
    if (isWaiting && !this.form) this.node.append((this.form = this.drawForm(calls)));
    if (!isWaiting && this.form) {
      this.form.remove();
      this.form = null;
    }
  }

  showCall(call, index) {
    const { name, arguments: given } = call.function;
    const drawn = this.drawn[index];
    if (drawn && drawn.name === name) {
      if (drawn.given !== given) drawn.node.querySelector("pre code").textContent = readable(given);
      drawn.given = given;
      return;
    }
    const node = el("div", { class: "call" }, heading(call), codeBlock(readable(given), "arguments"));
    if (drawn) drawn.node.replaceWith(node);
    else this.node.append(node);
    this.drawn[index] = { node, name, given };
  }

  drawForm(calls) {
    const fields = calls.map((call) => {
      const id = `result-${++number}`;
      const area = el("textarea", { id, rows: "2", placeholder: "What the tool returns", spellcheck: "false", on: { keydown: (event) => this.onKey(event) } });
      const label = el("label", { for: id }, "Result of ", el("code", { text: call.function.name }));
      return { area, node: el("div", { class: "field" }, label, area) };
    });
    const send = el("button", { type: "submit", class: "plain-button primary", text: calls.length === 1 ? "Send result" : "Send results" });
    const submit = (event) => {
      event.preventDefault();
      this.onResults(fields.map(({ area }) => area.value));
    };
    return el("form", { class: "results", "aria-label": "Results of the tool calls", on: { submit } }, ...fields.map(({ node }) => node), send);
  }

  onKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.form.requestSubmit();
    }
  }
}
