// Maths for marked: $…$, $$…$$, \(…\) and \[…\]. Gives the TeX on as escaped text of a span; nobody draws it here.

/** A dollar opens maths only before something, and closes it only after something and not before a digit: prices stay prices. */
const INLINE = [
  { rule: /^\$\$([^$]+?)\$\$/, display: true },
  { rule: /^\$(?=\S)((?:\\.|[^\\$\n])*?(?:\\.|[^\\$\s]))\$(?!\d)/, display: false },
  { rule: /^\\\(([\s\S]+?)\\\)/, display: false },
  { rule: /^\\\[([\s\S]+?)\\\]/, display: true },
];
const BLOCK = [/^ {0,3}\$\$([\s\S]+?)\$\$ *(?:\n+|$)/, /^ {0,3}\\\[([\s\S]+?)\\\] *(?:\n+|$)/];
/** What has begun in a reply that is still coming. */
const BEGUN = /^ {0,3}(?:\$\$|\\\[)[\s\S]*$/;

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function token(type, match, display) {
  return { type, raw: match[0], text: match[1].trim(), display };
}

const render = ({ text, display }) => `<span class="maths${display ? " display" : ""}">${escape(text)}</span>`;

/** The two extensions. `isComing()` tells whether more text follows. */
export const maths = (isComing) => [
  {
    name: "mathsBlock",
    level: "block",
    start: (text) => text.match(/\n {0,3}(?:\$\$|\\\[)/)?.index,
    tokenizer(text) {
      for (const rule of BLOCK) {
        const match = rule.exec(text);
        if (match) return token("mathsBlock", match, true);
      }
      const begun = isComing() && BEGUN.exec(text);
      return begun ? { type: "mathsBegun", raw: begun[0], text: begun[0] } : undefined;
    },
    renderer: render,
  },
  { name: "mathsBegun", level: "block", tokenizer: () => undefined, renderer: ({ text }) => `<p class="begun">${escape(text)}</p>` },
  {
    name: "mathsInline",
    level: "inline",
    start: (text) => text.match(/\$|\\[([]/)?.index,
    tokenizer(text) {
      for (const { rule, display } of INLINE) {
        const match = rule.exec(text);
        if (match) return token("mathsInline", match, display);
      }
      return undefined;
    },
    renderer: render,
  },
];
