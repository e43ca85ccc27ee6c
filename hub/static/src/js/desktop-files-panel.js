// How does the panel of files show the folder and what is under way?
import { join, sizeText } from "./desktop-files.js";
import { at, say } from "./desktop-page.js";
import { button, icon, make, refill } from "./elements.js";

/** Follow files; returns `opened()` for when the panel opens. */
export function filesPanel(files) {
  files.addEventListener("change", () => show(files));
  at("pick").addEventListener("change", () => {
    files.bring(at("pick").files);
    at("pick").value = "";
  });
  at("picker").addEventListener("click", () => at("pick").click());
  return { opened: () => void files.list(files.folder) };
}

function show(files) {
  const running = files.uploads.filter((upload) => upload.state === "running" || upload.state === "waiting").length;
  at("files-mark").hidden = !running;
  say(at("files-words"), files.words);
  refill(
    at("uploads"),
    files.uploads.slice(0, 20).map((upload) =>
      make(
        "li",
        {},
        make("span", { className: "who" }, make("strong", {}, upload.name), make("span", { className: "hint" }, uploadWords(upload))),
        upload.state === "running" && make("progress", { max: Math.max(1, upload.size), value: upload.done, "aria-label": `Bringing ${upload.name}` }),
        upload.state === "running" && button("Cancel", () => upload.cancel(), { look: "small quiet" }),
      ),
    ),
  );
  at("folder").textContent = files.folder || "Folders of this session";
  const up = files.folder && button("..", () => files.list(parent(files.folder)), { look: "small quiet", name: "chevron-up", "aria-label": "One folder up" });
  refill(at("entries"), [
    up && make("li", {}, up),
    ...(files.entries ?? []).map((entry) => {
      const isFolder = entry.kind === "folder";
      const open = isFolder
        ? make("button", { type: "button", className: "entry", "data-key": `entry:${entry.name}`, onclick: () => files.list(join(files.folder, entry.name)) }, icon("folder2-open"), entry.name)
        : make("a", { className: "entry", href: files.download(entry.name), download: entry.name }, icon("download"), entry.name);
      return make("li", {}, open, !isFolder && make("span", { className: "hint" }, sizeText(entry.size)));
    }),
  ]);
  at("picker").disabled = !files.mayBring;
  at("bring-words").textContent = files.mayBring
    ? "Or drop them on the picture. They go into the folder shown here; nothing there is replaced."
    : "This folder is read-only: choose another to bring files in.";
  at("empty-folder").hidden = !files.entries || files.entries.length > 0;
}

const parent = (folder) => folder.replace(/\/?[^/]*\/?$/, "");
const uploadWords = ({ state: how, done, size, words }) =>
  ({ waiting: "waits", running: `${sizeText(done)} of ${sizeText(size)}`, done: `here ${words}`.trim(), failed: words })[how];
