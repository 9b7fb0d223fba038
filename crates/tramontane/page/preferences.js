// Small choices kept in this browser: appearance, key, what new chats begin with.

const read = (name) => {
  try {
    return localStorage.getItem(`tramontane.${name}`);
  } catch {
    return null;
  }
};

const write = (name, value) => {
  try {
    if (value) localStorage.setItem(`tramontane.${name}`, value);
    else localStorage.removeItem(`tramontane.${name}`);
  } catch {
    // Without storage a choice lasts as long as the page.
  }
};

let key = read("key") ?? "";
export const apiKey = () => key;
export const setApiKey = (value) => write("key", (key = value.trim()));

export const theme = () => document.documentElement.dataset.theme ?? "system";

/** "system", "light" or "dark". */
export function setTheme(value) {
  if (value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  write("theme", value === "system" ? "" : value);
}

/** The settings that a new chat begins with. */
export function firstSettings() {
  try {
    const kept = JSON.parse(read("settings") ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([, value]) => typeof value === "string"));
  } catch {
    return {};
  }
}

export const setFirstSettings = (settings) => write("settings", JSON.stringify(settings));
