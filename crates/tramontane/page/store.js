// Chats in the browser's own database: whole ones, and a short list of titles. Knows neither messages nor the page.

const NAME = "tramontane";
let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("chats", { keyPath: "id" });
      request.result.createObjectStore("heads", { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Runs `work` on both stores and waits until it is on disk; what `work` returns is a request or nothing. */
async function transaction(mode, work) {
  const base = await database();
  return new Promise((resolve, reject) => {
    const change = base.transaction(["chats", "heads"], mode);
    const request = work(change.objectStore("chats"), change.objectStore("heads"));
    change.oncomplete = () => resolve(request?.result);
    change.onabort = change.onerror = () => reject(change.error);
  });
}

/** `{ id, title, updated }` of every chat, latest first. */
export async function heads() {
  const all = await transaction("readonly", (_, heads) => heads.getAll());
  return all.sort((a, b) => b.updated - a.updated);
}

export const load = (id) => transaction("readonly", (chats) => chats.get(id));
export const loadAll = () => transaction("readonly", (chats) => chats.getAll());

export const save = (chat) => transaction("readwrite", (chats, heads) => {
  chats.put(chat);
  heads.put({ id: chat.id, title: chat.title, updated: chat.updated });
});

export const remove = (id) => transaction("readwrite", (chats, heads) => {
  chats.delete(id);
  heads.delete(id);
});
