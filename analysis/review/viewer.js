// Grey images on canvases that share one view: window and level, zoom and place.

const FULL = { width: 256, level: 128, zoom: 1, x: 0, y: 0, inverted: false };
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function decode(buffer) {
  const [width, height] = new Uint32Array(buffer.slice(0, 8)); // little-endian, as every machine with a browser is
  return { width, height, grey: new Uint8Array(buffer, 8) };
}

class Pane {
  constructor(canvas) {
    this.canvas = canvas;
    this.source = document.createElement("canvas"); // the image in its own pixels, windowed
    this.image = null;
    this.painted = "";
  }

  show(image) {
    this.image = image;
    this.painted = "";
    if (!image) return;
    this.source.width = image.width;
    this.source.height = image.height;
    this.pixels = new ImageData(image.width, image.height);
  }

  paint(view) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(canvas.clientWidth * ratio);
    const high = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, wide, high);
    if (!this.image || !wide || !high) return;
    this.#window(view);
    const scale = Math.min(wide / this.image.width, high / this.image.height) * view.zoom;
    const [w, h] = [this.image.width * scale, this.image.height * scale];
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.source, (wide - w) / 2 + view.x * w, (high - h) / 2 + view.y * h, w, h);
  }

  #window(view) {
    const wanted = `${view.width} ${view.level} ${view.inverted}`;
    if (wanted === this.painted) return;
    const table = new Uint32Array(256);
    const low = view.level - view.width / 2;
    for (let grey = 0; grey < 256; grey++) {
      const seen = clamp(Math.round(((grey - low) * 255) / view.width), 0, 255);
      const value = view.width === 256 && view.level === 128 ? grey : seen;
      const shown = view.inverted ? 255 - value : value;
      table[grey] = (0xff000000 | (shown << 16) | (shown << 8) | shown) >>> 0;
    }
    const target = new Uint32Array(this.pixels.data.buffer);
    const { grey } = this.image;
    for (let index = 0; index < target.length; index++) target[index] = table[grey[index]];
    this.source.getContext("2d").putImageData(this.pixels, 0, 0);
    this.painted = wanted;
  }
}

export class Viewer {
  constructor(stage, canvases, changed) {
    this.panes = canvases.map((canvas) => new Pane(canvas));
    this.view = { ...FULL };
    this.windowing = false;
    this.changed = changed;
    new ResizeObserver(() => this.paint()).observe(stage);
    for (const canvas of canvases) this.#listen(canvas);
  }

  show(index, image) {
    this.panes[index].show(image);
    this.paint();
  }

  reset() {
    this.view = { ...FULL };
    this.paint();
  }

  invert() {
    this.view.inverted = !this.view.inverted;
    this.paint();
  }

  window(width, level) {
    this.view.width = clamp(Math.round(this.view.width + width), 4, 512);
    this.view.level = clamp(Math.round(this.view.level + level), 0, 255);
    this.paint();
  }

  zoom(factor) {
    this.view.zoom = clamp(this.view.zoom * factor, 1, 16);
    if (this.view.zoom < 1.01) Object.assign(this.view, { zoom: 1, x: 0, y: 0 });
    this.move(0, 0);
  }

  move(x, y) {
    const room = 0.5 - 0.5 / this.view.zoom + 0.05 * (this.view.zoom > 1); // in widths of the image as it is drawn
    this.view.x = clamp(this.view.x + x, -room, room);
    this.view.y = clamp(this.view.y + y, -room, room);
    this.paint();
  }

  paint() {
    for (const pane of this.panes) pane.paint(this.view);
    this.changed(this.view);
  }

  #listen(canvas) {
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.#drag(canvas, event));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400));
      },
      { passive: false },
    );
  }

  #drag(canvas, event) {
    if (!event.buttons || !canvas.hasPointerCapture(event.pointerId)) return;
    const moves = this.view.zoom > 1 && !this.windowing && event.buttons === 1;
    if (moves) {
      const side = Math.min(canvas.clientWidth, canvas.clientHeight) * this.view.zoom;
      this.move(event.movementX / side, event.movementY / side);
    } else {
      this.window(event.movementX, event.movementY / 2);
    }
  }
}
