// Which theme is shown? Runs before the first paint. The choice is shared with the hub's own pages,
// which keep it under the same key and read the same attribute.
(() => {
  const KEY = "jupyterhub-bs-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is blocked: follow the system
    }
  };

  const show = () => {
    const choice = stored();
    const dark = choice === "dark" || (choice !== "light" && system.matches);
    root.setAttribute("data-bs-theme", dark ? "dark" : "light");
    document.dispatchEvent(new CustomEvent("panhub:theme"));
  };

  root.classList.add("js");
  show();
  system.addEventListener("change", show);
  window.addEventListener("storage", show);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-toggle]");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(KEY, next);
        show();
      } catch {
        root.setAttribute("data-bs-theme", next);
      }
    });
  });
})();
