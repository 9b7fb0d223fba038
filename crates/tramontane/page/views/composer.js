// Where a message is written: its text, its images, the effort, and what else goes along.
import { $, announce, el, icon, iconButton, plural, toast } from "../dom.js";
import { KINDS, readImages } from "../images.js";

const TOUCH = matchMedia("(pointer: coarse)");

export class Composer {
  /** `actions`: send(text, images), stop(), setEffort(effort), openSettings(section). */
  constructor(actions) {
    this.actions = actions;
    this.images = [];
    this.isRunning = false;
    this.prompt = $("prompt");
    this.prompt.addEventListener("input", () => this.fit());
    this.prompt.addEventListener("keydown", (event) => this.onKey(event));
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    $("stop").addEventListener("click", () => actions.stop());
    $("effort").addEventListener("click", () => actions.setEffort($("effort").getAttribute("aria-pressed") === "true" ? "none" : "high"));
    $("attach").addEventListener("click", () => $("attach-file").click());
    $("attach-file").addEventListener("change", () => {
      this.add([...$("attach-file").files]);
      $("attach-file").value = "";
    });
    document.addEventListener("paste", (event) => this.onPaste(event));
    this.watchDrops();
    this.fit();
  }

  onKey(event) {
    // A finger has no Shift: on touch screens Enter is a new line.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || TOUCH.matches) return;
    event.preventDefault();
    this.send();
  }

  send() {
    if (this.isRunning) return;
    const text = this.prompt.value.trim();
    if (!text && this.images.length === 0) return;
    if (this.actions.send(text, this.images) === false) return;
    this.prompt.value = "";
    this.images = [];
    this.drawImages();
    this.fit();
  }

  /** As high as its text, up to a part of the window. */
  fit() {
    this.prompt.style.height = "auto";
    this.prompt.style.height = `${Math.min(this.prompt.scrollHeight, innerHeight * 0.4)}px`;
    $("send").disabled = this.isRunning || (!this.prompt.value.trim() && this.images.length === 0);
  }

  /** Takes image files along. */
  async add(files) {
    try {
      const { urls, others } = await readImages(files);
      if (others.length > 0) toast(`Not an image the page can send: ${others.join(", ")}. It takes PNG, JPEG, GIF, WebP and BMP.`);
      if (urls.length > 0) announce(`${plural(urls.length, "image")} added`);
      this.images = [...this.images, ...urls];
    } catch (error) {
      toast(error.message);
    }
    this.drawImages();
    this.fit();
    this.prompt.focus();
  }

  drawImages() {
    $("attached").hidden = this.images.length === 0;
    const items = this.images.map((src, index) => el("li", {},
      el("img", { src, alt: `Attached image ${index + 1}` }),
      iconButton("close", `Remove image ${index + 1}`, () => {
        this.images = this.images.filter((_, other) => other !== index);
        this.drawImages();
        this.fit();
        this.prompt.focus();
      })));
    $("attached").replaceChildren(...items);
  }

  onPaste(event) {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => KINDS.includes(file.type));
    if (files.length === 0 || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    this.add(files);
  }

  watchDrops() {
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
    let depth = 0;
    const show = (isOver) => ($("drop").hidden = !isOver);
    addEventListener("dragenter", (event) => holdsFiles(event) && show(++depth > 0));
    addEventListener("dragleave", (event) => holdsFiles(event) && show((depth = Math.max(0, depth - 1)) > 0));
    addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      show((depth = 0) > 0);
      this.add([...event.dataTransfer.files]);
    });
  }

  /** Shows whether a reply is coming in. */
  setRunning(isRunning) {
    const hadFocus = document.activeElement === $("send") || document.activeElement === $("stop");
    this.isRunning = isRunning;
    $("send").hidden = isRunning;
    $("stop").hidden = !isRunning;
    if (hadFocus && isRunning) $("stop").focus();
    // On touch screens the field's focus would bring up the keyboard.
    else if (hadFocus && !TOUCH.matches) this.prompt.focus();
    this.fit();
  }

  /** Shows what goes along with a message. `modes`: `{ section, icon, text }`. */
  showModes(effort, canThink, modes) {
    $("effort").hidden = !canThink;
    $("effort").setAttribute("aria-pressed", String(effort === "high"));
    const chips = modes.map(({ section, icon: shape, text }) =>
      el("button", { type: "button", class: "chip", "aria-haspopup": "dialog", on: { click: () => this.actions.openSettings(section) } }, icon(shape), text));
    $("modes").replaceChildren(...chips);
  }
}
