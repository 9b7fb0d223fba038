// Image files to data URLs.

export const KINDS = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"];

const read = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error(`${file.name}: the browser could not read it`));
  reader.readAsDataURL(file);
});

/** The files as data URLs, and the names of those that are no images the model's tower takes. */
export async function readImages(files) {
  const fitting = files.filter((file) => KINDS.includes(file.type));
  const others = files.filter((file) => !KINDS.includes(file.type)).map((file) => file.name || "a file");
  return { urls: await Promise.all(fitting.map(read)), others };
}
