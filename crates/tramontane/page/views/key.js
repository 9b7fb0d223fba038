// Asks for an API key where the server wants one.
import { el } from "../dom.js";
import { apiKey, setApiKey } from "../preferences.js";

let asking = null;

/** Opens the dialog, once at a time; whether a key was given. */
export function askForKey(why) {
  asking ??= new Promise((resolve) => {
    const input = el("input", { type: "password", id: "key", autocomplete: "off", required: true, value: apiKey() });
    const submit = (event) => {
      event.preventDefault();
      setApiKey(input.value);
      dialog.close("given");
    };
    const form = el("form", { on: { submit } },
      el("h2", { id: "key-title", text: "This server asks for a key" }),
      el("p", { class: "hint", text: why }),
      el("div", { class: "field" }, el("label", { for: "key", text: "API key" }), input),
      el("div", { class: "bar end" },
        el("button", { type: "button", class: "plain-button", text: "Not now", on: { click: () => dialog.close() } }),
        el("button", { type: "submit", class: "plain-button primary", text: "Use this key" })));
    const dialog = el("dialog", { class: "small", "aria-labelledby": "key-title" }, form);
    dialog.addEventListener("close", () => {
      asking = null;
      resolve(dialog.returnValue === "given");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
