// Asks the worker for blocks, one text after the other, and gives up on a text that takes too long.

const LIMIT_MS = 2_000;
const SCRIPT = new URL("./worker.js", import.meta.url).href;

// Where the browser enforces trusted types, this is the only address that may become a worker.
const policy = globalThis.trustedTypes?.createPolicy("tramontane", {
  createScriptURL: (url) => {
    if (url !== SCRIPT) throw new TypeError(`not a script of this page: ${url}`);
    return url;
  },
});

let worker = null;
let number = 0;
let last = Promise.resolve();

/** A worker, once it has been loaded, however long that takes; null where it cannot be. */
function start() {
  const fresh = new Worker(policy ? policy.createScriptURL(SCRIPT) : SCRIPT, { type: "module" });
  return new Promise((resolve) => {
    fresh.onmessage = () => resolve(fresh);
    fresh.onerror = () => resolve(null);
  });
}

async function ask(text, isComing) {
  worker ??= start();
  const asked = await worker;
  const asIs = { blocks: [{ length: text.length, plain: text }], isExact: true };
  if (!asked) return asIs;
  const id = ++number;
  return new Promise((resolve) => {
    const giveUp = () => {
      asked.terminate();
      worker = null;
      resolve(asIs);
    };
    const timer = setTimeout(giveUp, LIMIT_MS);
    asked.onerror = giveUp;
    asked.onmessage = ({ data }) => {
      if (data.id !== id) return;
      clearTimeout(timer);
      resolve(data);
    };
    asked.postMessage({ id, text, isComing });
  });
}

/** The blocks of a text; see worker.js. `isComing`: more of it follows. */
export function parse(text, isComing) {
  last = last.then(() => ask(text, isComing));
  return last;
}
