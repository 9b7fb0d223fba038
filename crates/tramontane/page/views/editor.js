// A message being edited in its place.
import { el, iconButton } from "../dom.js";

/** The images of the message, each with a way to leave it out; `kept` is what stays. */
function pictures(images) {
  const list = el("ul", { class: "attached", role: "list", "aria-label": "Images of the message" });
  const editing = { node: list, kept: [...images] };
  for (const [index, src] of images.entries()) {
    const leaveOut = () => {
      editing.kept = editing.kept.filter((url) => url !== src);
      item.remove();
    };
    const item = el("li", {}, el("img", { src, alt: `Image ${index + 1}` }), iconButton("close", `Leave out image ${index + 1}`, leaveOut));
    list.append(item);
  }
  return editing;
}

/** A form with the text and the images; `onDone(text, images)` or `onCancel()` ends it. */
export function editor(text, images, onDone, onCancel) {
  const area = el("textarea", { "aria-label": "Edit the message", value: text });
  const shown = pictures(images);
  const done = () => onDone(area.value, shown.kept);
  const fit = () => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.6)}px`;
  };
  const keydown = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onCancel();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      done();
    }
  };
  area.addEventListener("input", fit);
  area.addEventListener("keydown", keydown);
  const submit = (event) => {
    event.preventDefault();
    done();
  };
  const buttons = el("div", { class: "bar end" },
    el("button", { type: "button", class: "plain-button", text: "Cancel", on: { click: onCancel } }),
    el("button", { type: "submit", class: "plain-button primary", text: "Send" }));
  const form = el("form", { class: "editor", "aria-label": "Edit the message", on: { submit } }, images.length ? shown.node : null, area, buttons);
  requestAnimationFrame(() => {
    fit();
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  });
  return form;
}
