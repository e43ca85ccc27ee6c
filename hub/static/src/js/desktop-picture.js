// Where does the picture stand, and how large? It fits the window, or shows each of its pixels as one.

/** The place of the picture. `region` says which part of it this window shows. */
export class Picture {
  mode = "fit"; // or "one": each pixel of the desktop is one of the window
  #box;
  #stage;
  #remote = null;
  #region;

  constructor(box, region) {
    this.#box = box;
    this.#stage = box.querySelector(".stage");
    this.#region = region;
    new ResizeObserver(() => this.place()).observe(box);
  }

  /** Room for the picture, in CSS pixels. */
  get room() {
    return { width: this.#box.clientWidth, height: this.#box.clientHeight };
  }

  get stage() {
    return this.#stage;
  }

  get scale() {
    return this.#remote?.scale ?? 1;
  }

  get size() {
    return this.#remote?.size ?? { width: 0, height: 0 };
  }

  /** Show another connection's picture; the last one stays until then. */
  show(remote) {
    this.#remote = remote;
    this.#stage.replaceChildren(remote.element);
    this.place();
  }

  /** The last picture, faint, with a word over it. */
  dim(isDim) {
    this.#box.classList.toggle("is-dim", isDim);
  }

  place() {
    const { width, height } = this.size;
    if (!width || !height) return;
    const part = this.#region({ width, height });
    const { width: wide, height: high } = this.room;
    const one = 1 / (window.devicePixelRatio || 1);
    const fit = Math.min(wide / part.width, high / part.height);
    const scale = this.mode === "one" ? Math.max(one, 0.1) : this.#snapped(fit, one);
    if (Math.abs(this.#remote.scale - scale) > 1e-4) this.#remote.scale = scale;
    const style = this.#stage.style;
    style.width = `${Math.floor(part.width * scale)}px`;
    style.height = `${Math.floor(part.height * scale)}px`;
    this.#remote.element.style.marginLeft = `${-part.x * scale}px`;
    this.#box.classList.toggle("is-scrolled", this.mode === "one");
  }

  /** A scale that is nearly one pixel for one is that, so that nothing is blurred for a rounding. */
  #snapped(fit, one) {
    for (const exact of [1, one]) if (Math.abs(fit / exact - 1) < 0.006) return exact;
    return fit;
  }

  /** The picture now, `width` pixels wide at most, as a canvas. */
  snapshot(most = Infinity) {
    if (!this.#remote || !this.size.width) return null;
    const whole = this.#remote.flatten();
    const part = this.#region(this.size);
    const factor = Math.min(1, most / part.width);
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(part.width * factor));
    canvas.height = Math.max(1, Math.round(part.height * factor));
    canvas
      .getContext("2d")
      .drawImage(whole, part.x, 0, part.width, part.height, 0, 0, canvas.width, canvas.height);
    return canvas;
  }
}
