// From a block to elements. Everything passes the sanitiser, whatever made it; code and maths never are HTML at all.
import DOMPurify from "../vendor/dompurify/purify.es.mjs";
import { copyButton, el } from "../dom.js";

const ALLOWED = {
  ALLOWED_TAGS: [
    "p", "br", "strong", "em", "del", "code", "pre", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "hr", "table",
    "thead", "tbody", "tr", "th", "td", "a", "sub", "sup", "kbd", "span",
  ],
  ALLOWED_ATTR: ["href", "title", "start", "align", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const CLASSES = /^(?:maths|display|begun|language-[\w+#.-]{1,40})$/;
const LONGEST_TEX = 5_000;

/** A code block with its language and a button that copies it. */
export function codeBlock(text, language) {
  const code = el("code", { text });
  const name = language ? `Code, ${language}` : "Code";
  const head = el("div", { class: "code-head" }, el("span", { text: language }), copyButton("Copy code", () => code.textContent));
  return el("div", { class: "code" }, head, el("pre", { tabindex: "0", role: "group", "aria-label": name }, code));
}

/** Text as it is. */
export const plainBlock = (text) => el("div", { class: "plain", text });

function drawMaths(span) {
  const tex = span.textContent;
  const displayMode = span.classList.contains("display");
  if (tex.length > LONGEST_TEX || !globalThis.temml) return;
  try {
    globalThis.temml.render(tex, span, { displayMode, trust: false, throwOnError: true, maxSize: [20, 500], annotate: true });
    if (displayMode) span.setAttribute("tabindex", "0");
  } catch {
    span.replaceChildren(el("code", { text: tex }));
  }
}

function finishLink(link) {
  if (!link.getAttribute("href")) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.title = link.href;
}

/** The elements of a block of HTML that came from the worker. */
export function htmlBlock(html) {
  const fragment = DOMPurify.sanitize(html, ALLOWED);
  for (const node of fragment.querySelectorAll("[class]")) {
    node.className = [...node.classList].filter((name) => CLASSES.test(name)).join(" ");
  }
  for (const link of fragment.querySelectorAll("a")) finishLink(link);
  for (const span of fragment.querySelectorAll("span.maths")) drawMaths(span);
  for (const pre of fragment.querySelectorAll("pre")) {
    const language = pre.firstElementChild?.className.replace("language-", "") ?? "";
    pre.replaceWith(codeBlock(pre.textContent, language));
  }
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = el("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  return fragment;
}
