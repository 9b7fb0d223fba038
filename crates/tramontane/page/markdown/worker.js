// Markdown to blocks, away from the page: text that takes too long here is given up by ending this worker. What it gives
// is not trusted: the page cleans every block.
//
// in:  { id, text, isComing }
// out: { isReady } once, when it has been loaded, then
//      { id, isExact, blocks: [{ length, code: text, language } | { length, html } | { length, plain: text }] }
//      The lengths add up to the text's, except where `isExact` is false.
import { Marked } from "../vendor/marked/marked.esm.js";
import { maths } from "./maths.js";

/** A paragraph beyond this many characters is shown as it is. */
const LONGEST_INLINE = 40_000;
/** So is a block beyond this many, or whose HTML is longer than this. */
const LONGEST_BLOCK = 200_000;
const LONGEST_HTML = 400_000;
/** And one that is nested deeper than this. */
const DEEPEST = 24;

let isComing = false;
const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
/** The only HTML that a model may write: marks without attributes that Markdown has no sign for. */
const HARMLESS = /&lt;(\/?(?:sub|sup|kbd|br) ?\/?)&gt;/gi;

const renderer = {
  html({ text, block }) {
    const shown = escape(text).replace(HARMLESS, "<$1>");
    return block ? `<p>${shown}</p>` : shown;
  },
  // The page's own headings are h1 and h2.
  heading({ tokens, depth }) {
    const level = Math.min(depth + 2, 6);
    return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
  },
  // An image would be fetched from elsewhere; its address is shown instead.
  image({ href, text }) {
    return `<a href="${escape(href)}">${escape(text || href)}</a>`;
  },
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
};

const marked = new Marked({ gfm: true, breaks: true }, { renderer, extensions: maths(() => isComing) });

function lex(text) {
  const lexer = new marked.Lexer(marked.defaults);
  lexer.blockTokens(text, lexer.tokens);
  for (const { src, tokens } of lexer.inlineQueue) {
    if (src.length > LONGEST_INLINE) tokens.push({ type: "text", raw: src, text: src, escaped: false });
    else lexer.inlineTokens(src, tokens);
  }
  return lexer.tokens;
}

function isDeeper(token, levels) {
  if (levels === 0) return true;
  const inner = [...(token.tokens ?? []), ...(token.items ?? [])];
  return inner.some((one) => isDeeper(one, levels - 1));
}

function block(token, parser) {
  const length = token.raw.length;
  if (token.type === "code") return { length, code: token.text, language: (token.lang ?? "").split(/\s/)[0].slice(0, 40) };
  if (length > LONGEST_BLOCK || isDeeper(token, DEEPEST)) return { length, plain: token.raw };
  const html = parser.parse([token]);
  return html.length > LONGEST_HTML ? { length, plain: token.raw } : { length, html };
}

function blocks(text) {
  const parser = new marked.Parser(marked.defaults);
  const found = [];
  for (const token of lex(text)) {
    const last = found.at(-1);
    if (token.type !== "space" && token.type !== "def") found.push(block(token, parser));
    else if (last) last.length += token.raw.length;
    else found.push({ length: token.raw.length, html: "" });
  }
  return found;
}

self.onmessage = ({ data }) => {
  isComing = data.isComing;
  let found;
  try {
    found = blocks(data.text);
  } catch {
    found = [{ length: data.text.length, plain: data.text }];
  }
  const isExact = found.reduce((sum, one) => sum + one.length, 0) === data.text.length;
  self.postMessage({ id: data.id, blocks: found, isExact });
};
self.postMessage({ isReady: true });
