// How do files come and go? Up by picker or by dropping them on the picture, with their progress; down from
// the list of the session's own folders. Names are shown as text and sent as parameters, nothing else.
import { Refused, Unreachable, ask, serviceToken, wordsOf } from "./asking.js";

const AT_ONCE = 2;

/** Transfers and the listed folder; emits `change`. */
export class Files extends EventTarget {
  uploads = [];
  folder = "";
  mayBring = true;
  entries = null;
  words = "";
  #waiting = [];
  #running = 0;

  constructor({ address }) {
    super();
    this.address = address;
  }

  /** Bring files into the folder that is shown. */
  bring(files) {
    for (const file of files) {
      const upload = { name: file.name, size: file.size, done: 0, state: "waiting", words: "" };
      this.uploads.unshift(upload);
      this.#waiting.push({ file, upload, folder: this.folder });
    }
    this.#next();
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      const one = this.#waiting.shift();
      this.#running++;
      void this.#send(one).finally(() => {
        this.#running--;
        this.#next();
        if (!this.#running) void this.list(this.folder);
      });
    }
    this.#tell();
  }

  #send({ file, upload, folder }) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const finish = (state, words = "") => {
        Object.assign(upload, { state, words });
        this.#tell();
        resolve();
      };
      request.open("PUT", this.#url("file", join(folder, clean(file.name))));
      request.setRequestHeader("X-XSRFToken", serviceToken());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.addEventListener("progress", (event) => {
        Object.assign(upload, { done: event.loaded, state: "running" });
        this.#tell();
      });
      request.addEventListener("load", () => {
        const said = parse(request.responseText);
        if (request.status < 300) {
          upload.done = upload.size;
          finish("done", said.name && said.name !== file.name ? `as ${said.name}` : "");
        } else finish("failed", wordsOf(request.status >= 502 ? new Unreachable() : new Refused(request.status, said)));
      });
      request.addEventListener("error", () => finish("failed", "The connection broke off. Bring it again."));
      request.addEventListener("abort", () => finish("failed", "Cancelled."));
      upload.cancel = () => request.abort();
      request.send(file);
    });
  }

  /** Show what is in a folder; "" is where it begins. */
  async list(folder) {
    try {
      const answer = await ask("GET", this.#url("files", folder), undefined, { token: serviceToken() });
      this.folder = answer.path ?? folder;
      this.entries = answer.entries;
      this.mayBring = answer.may_bring;
      this.words = "";
    } catch (error) {
      this.words = wordsOf(error);
      this.entries ??= [];
    }
    this.#tell();
  }

  /** Address from which the browser saves a file. */
  download(name) {
    return this.#url("file", join(this.folder, name));
  }

  #url(what, path) {
    return `${this.address}/${what}?${new URLSearchParams({ path })}`;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Path of an entry of a folder. */
export function join(folder, name) {
  return folder ? `${folder.replace(/\/$/, "")}/${name}` : name;
}

function clean(name) {
  return name.replace(/[\u0000-\u001f\u007f/\\]/g, "_");
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Let files be dropped on an element; `mayDrop()` says whether they would be taken. */
export function takeDrops(element, { mayDrop, drop }) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const mark = () => element.classList.toggle("is-over", depth > 0 && mayDrop());
  element.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth++;
    mark();
  });
  element.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    mark();
  });
  element.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // otherwise the browser would leave the page for the file
    event.dataTransfer.dropEffect = mayDrop() ? "copy" : "none";
  });
  element.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    mark();
    if (mayDrop()) drop(event.dataTransfer.files);
  });
}

export const sizeText = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10)) : 0;
  const value = bytes / 1024 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
};
