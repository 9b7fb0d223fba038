// The list of chats, and its drawer on a narrow screen.
import { $, el, iconButton } from "../dom.js";

const NARROW = matchMedia("(max-width: 760px)");

/** What tells a link or button of the list from all others. */
const names = (node) => node.getAttribute("href") ?? node.getAttribute("aria-label");

export class Sidebar {
  /** `actions`: rename(id, title), remove(id). Chats are opened by their links. */
  constructor(actions) {
    this.actions = actions;
    $("sidebar-open").addEventListener("click", () => this.toggle(!this.isOpen));
    $("sidebar-close").addEventListener("click", () => this.toggle(false, true));
    $("shade").addEventListener("click", () => this.toggle(false));
    $("sidebar").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && NARROW.matches) {
        event.stopPropagation();
        this.toggle(false, true);
      }
    });
    NARROW.addEventListener("change", () => this.toggle(!NARROW.matches));
    this.toggle(!NARROW.matches);
  }

  /** Opens or closes it; on a narrow screen an open one keeps the rest out of reach. */
  toggle(isOpen, giveFocus = false) {
    this.isOpen = isOpen;
    document.body.classList.toggle("with-sidebar", isOpen);
    $("sidebar").inert = !isOpen;
    $("main").inert = isOpen && NARROW.matches;
    $("shade").hidden = !(isOpen && NARROW.matches);
    const opener = $("sidebar-open");
    opener.setAttribute("aria-expanded", String(isOpen));
    opener.setAttribute("aria-label", isOpen ? "Close the list of chats" : "Open the list of chats");
    if (isOpen && NARROW.matches) $("new-chat").focus();
    if (!isOpen && giveFocus) opener.focus();
  }

  /** After a choice, a narrow screen shows what was chosen. */
  close() {
    if (NARROW.matches) this.toggle(false);
  }

  /** Shows the chats' titles; `current` is the open chat's id. */
  show(heads, current) {
    const shown = JSON.stringify([current, heads.map(({ id, title }) => [id, title])]);
    if (shown === this.shown) return;
    this.shown = shown;
    const focus = $("chats").contains(document.activeElement) ? names(document.activeElement) : null;
    $("chats").replaceChildren(...heads.map((head) => this.item(head, head.id === current)));
    $("no-chats").hidden = heads.length > 0;
    if (focus) [...$("chats").querySelectorAll("a, button")].find((node) => names(node) === focus)?.focus();
  }

  /** Puts the focus on a chat. */
  focus(id) {
    $("chats").querySelector(`a[href="#/chat/${id}"]`)?.focus();
  }

  item(head, isCurrent) {
    const link = el("a", { href: `#/chat/${head.id}`, text: head.title, "aria-current": isCurrent ? "page" : null, on: { click: () => this.close() } });
    const item = el("li", { class: isCurrent ? "current" : "" }, link,
      iconButton("pencil", `Rename ${head.title}`, () => this.rename(item, head)),
      iconButton("trash", `Delete ${head.title}`, () => this.actions.remove(head.id)));
    return item;
  }

  rename(item, head) {
    const field = el("input", { type: "text", value: head.title, maxlength: "200", "aria-label": "Name of the chat" });
    let isDone = false;
    const finish = (keep) => {
      if (isDone) return;
      isDone = true;
      this.actions.rename(head.id, keep ? field.value.trim() || head.title : head.title);
    };
    field.addEventListener("blur", () => finish(true));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      finish(event.key === "Enter");
    });
    item.replaceChildren(field);
    this.shown = null;
    field.focus();
    field.select();
  }
}
