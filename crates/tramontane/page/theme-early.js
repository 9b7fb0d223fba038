// Sets the chosen appearance before the first paint. Runs as a classic script, ahead of the style sheets.
try {
  const theme = localStorage.getItem("tramontane.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's appearance stays.
}
