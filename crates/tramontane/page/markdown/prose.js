// Keeps an element showing a Markdown text that grows. Only the last blocks are read and drawn again, and the more that
// costs, the more seldom it is done.
import { codeBlock, htmlBlock, plainBlock } from "./clean.js";
import { parse } from "./parse.js";

/** Blocks at the end that more text may still change. */
const OPEN_BLOCKS = 2;
const SHORTEST_WAIT_MS = 40;
const LONGEST_WAIT_MS = 2_000;
/** A drawing that took so long is followed by a pause of this many times as long. */
const PAUSE = 4;

const same = (a, b) => a && a.html === b.html && a.plain === b.plain && a.code === b.code && a.language === b.language;

function draw(block) {
  const node = document.createElement("div");
  node.className = "block";
  if (block.code !== undefined) node.append(codeBlock(block.code, block.language));
  else node.append(block.plain !== undefined ? plainBlock(block.plain) : htmlBlock(block.html));
  return node;
}

/** A Markdown text in `container`. */
export class Prose {
  constructor(container) {
    this.container = container;
    this.blocks = [];
    this.wanted = null;
    this.isBusy = false;
    this.wake = () => {};
    this.onDraw = () => {};
  }

  /** Shows the text; `isComing`: it will go on. */
  show(text, isComing) {
    if (this.given === text && this.givenIsComing === isComing) return;
    this.given = text;
    this.givenIsComing = isComing;
    this.wanted = { text: text.replace(/\r\n?/g, "\n"), isComing };
    if (!this.isBusy) this.work();
    // What is complete is not kept waiting.
    else if (!isComing) this.wake();
  }

  /** Shows the whole text as code, without reading it as Markdown. */
  showCode(text, language) {
    this.replace(0, text ? [{ length: text.length, code: text, language }] : []);
    this.onDraw();
  }

  async work() {
    this.isBusy = true;
    while (this.wanted) {
      const { text, isComing } = this.wanted;
      this.wanted = null;
      const started = performance.now();
      await this.read(text, isComing);
      const cost = performance.now() - started;
      if (isComing && this.wanted?.isComing !== false) await this.rest(Math.min(Math.max(SHORTEST_WAIT_MS, PAUSE * cost), LONGEST_WAIT_MS));
    }
    this.isBusy = false;
  }

  rest(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
    });
  }

  /** Reads the text, from its first open block if it goes on, and draws what has changed. */
  async read(text, isComing) {
    const numClosed = isComing && this.isExact && text.startsWith(this.closed) ? Math.max(0, this.blocks.length - OPEN_BLOCKS) : 0;
    const start = this.blocks.slice(0, numClosed).reduce((sum, block) => sum + block.length, 0);
    const { blocks, isExact } = await parse(text.slice(start), isComing);
    this.isExact = isExact;
    this.replace(numClosed, blocks);
    const ends = this.blocks.slice(0, Math.max(0, this.blocks.length - OPEN_BLOCKS)).reduce((sum, block) => sum + block.length, 0);
    this.closed = text.slice(0, ends);
    this.onDraw();
  }

  replace(from, blocks) {
    const kept = this.blocks.splice(from);
    for (const [index, block] of blocks.entries()) {
      const before = kept[index];
      block.node = before && (same(before, block) || this.grow(before, block)) ? before.node : null;
      if (!block.node) {
        block.node = draw(block);
        if (before) before.node.replaceWith(block.node);
        else this.container.append(block.node);
      }
      this.blocks.push(block);
    }
    for (const block of kept.slice(blocks.length)) block.node.remove();
  }

  /** Code and plain text grow in place, so that a button in reach or a selection stays. */
  grow(before, after) {
    const isCode = after.code !== undefined && before.code !== undefined && before.language === after.language;
    const isPlain = after.plain !== undefined && before.plain !== undefined;
    if (!isCode && !isPlain) return false;
    before.node.querySelector(isCode ? "code" : ".plain").textContent = after.code ?? after.plain;
    return true;
  }
}
