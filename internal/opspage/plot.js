// A plot of the last minutes as SVG. Time comes from the service; what was not heard is shaded and not drawn.

const svgNS = "http://www.w3.org/2000/svg";

function svg(tag, attributes, text) {
  const e = document.createElementNS(svgNS, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  return e;
}

// clock is a time in milliseconds as the hours, minutes and seconds of this browser's time zone.
function clock(ms, seconds = true) {
  const t = new Date(ms), two = n => String(n).padStart(2, "0");
  return two(t.getHours()) + ":" + two(t.getMinutes()) + (seconds ? ":" + two(t.getSeconds()) : "");
}

// grouped puts a thin space between groups of three digits.
function grouped(n) { return Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f"); }

// measured is a value with its unit.
function measured(v, unit) {
  if (v === null || v === undefined) return "–";
  if (unit !== "ms") return (v > 0 && v < 10 ? String(Math.round(v * 10) / 10) : grouped(v)) + unit;
  if (v >= 120e3) return Math.round(v / 60e3) + " min";
  return v < 1000 ? (v > 0 && v < 10 ? Math.round(v * 10) / 10 : Math.round(v)) + " ms" : Math.round(v / 100) / 10 + " s";
}

// stepOf is the least of 1, 2, 2.5 and 5 times a power of ten that reaches v in four steps.
function stepOf(v) {
  const power = 10 ** Math.floor(Math.log10(v / 4));
  return [1, 2, 2.5, 5, 10].map(n => n * power).find(n => 4 * n >= v * 0.999);
}

const margin = { left: 62, right: 8, top: 10, bottom: 22 };
const gapMillis = 3000; // samples further apart than this have a gap between them

class Plot {
  constructor(spec, offset, minutes) {
    Object.assign(this, { spec, offset, span: minutes * 60e3, cursor: null, id: "plot-" + offset });
    this.figure = document.createElement("figure");
    const caption = document.createElement("figcaption"), legend = document.createElement("div");
    caption.append(spec.title, legend);
    legend.className = "legend";
    this.values = spec.series.map((name, i) => {
      const item = document.createElement("span"), mark = document.createElement("i"), value = document.createElement("b");
      mark.className = "s" + i;
      item.append(mark, name + " ", value);
      legend.append(item);
      return value;
    });
    this.when = document.createElement("span");
    legend.append(this.when);
    this.svg = svg("svg", { role: "img", tabindex: 0, id: this.id });
    this.figure.append(caption, this.svg);
    this.svg.addEventListener("pointermove", e => this.point(e.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("keydown", e => this.key(e));
  }

  x(at) { return margin.left + (at - this.now + this.span) / this.span * (this.width - margin.left - margin.right); }

  y(v) { return this.height - margin.bottom - v / this.top * (this.height - margin.top - margin.bottom); }

  point(x) {
    this.cursor = x === null ? null : this.now - this.span + (x - margin.left) / (this.width - margin.left - margin.right) * this.span;
    this.draw();
  }

  key(e) {
    const steps = { ArrowLeft: -5000, ArrowRight: 5000, PageUp: -60e3, PageDown: 60e3 };
    if (e.key === "Escape") this.cursor = null;
    else if (steps[e.key]) this.cursor = (this.cursor ?? this.now) + steps[e.key];
    else return;
    e.preventDefault();
    this.draw();
  }

  // update takes the samples, oldest first, the time at the service, and when it was heard last.
  update(samples, now, heard) {
    Object.assign(this, { samples, now, heard });
    this.draw();
  }

  value(sample, i) { return sample.values[this.offset + i]; }

  // highest is the largest value of a series, and its time; 0 if there is none.
  highest(i) {
    let most = null, at = 0;
    for (const s of this.samples) if ((this.value(s, i) ?? -1) > (most ?? -1)) [most, at] = [this.value(s, i), s.at];
    return [most, at];
  }

  summary() {
    const last = this.samples.at(-1);
    const parts = this.spec.series.map((name, i) => {
      const [most, at] = this.highest(i);
      return name + " " + (last ? measured(this.value(last, i), this.spec.unit) : "–") + ", highest " + measured(most, this.spec.unit) + (at ? " at " + clock(at) : "");
    });
    return this.spec.title + ", last 15 minutes: " + parts.join("; ");
  }

  draw() {
    if (!this.samples || !this.figure.isConnected) return;
    ({ width: this.width, height: this.height } = this.svg.getBoundingClientRect());
    if (this.width < 100) return;
    let most = this.spec.unit === "ms" ? 20 : 10;
    for (const s of this.samples) for (let i = 0; i < this.spec.series.length; i++) most = Math.max(most, this.value(s, i) ?? 0);
    const unit = this.spec.unit === "ms" && most >= 240e3 ? 60e3 : 1; // whole minutes
    this.step = stepOf(most / unit) * unit;
    this.top = Math.ceil(most / this.step * 0.999) * this.step;
    const parts = [...this.rules(), ...this.gaps()];
    this.spec.series.forEach((_, i) => parts.push(svg("path", { class: "s" + i, d: this.line(i) })));
    const at = this.cursor === null ? null : this.nearest(this.cursor);
    if (at) parts.push(svg("line", { class: "cursor", x1: this.x(at.at), x2: this.x(at.at), y1: margin.top, y2: this.height - margin.bottom }));
    this.svg.replaceChildren(...parts);
    const shown = at ?? this.samples.at(-1);
    this.values.forEach((b, i) => { b.textContent = shown ? measured(this.value(shown, i), this.spec.unit) : "–"; });
    const [top, when] = this.highest(0);
    this.when.textContent = at ? "at " + clock(at.at) : when && this.values.length === 1 ? "highest " + measured(top, this.spec.unit) + " at " + clock(when) : "";
    this.svg.setAttribute("aria-label", at ? this.when.textContent + ": " + this.spec.series.map((name, i) => name + " " + this.values[i].textContent).join(", ") : this.summary());
  }

  rules() {
    const all = [], right = this.width - margin.right;
    for (let v = 0; v <= this.top * 1.001; v += this.step) {
      const y = this.y(v);
      all.push(svg("line", { class: "rule", x1: margin.left, x2: right, y1: y, y2: y }),
        svg("text", { x: margin.left - 8, y: y + 4, "text-anchor": "end" }, measured(v, this.spec.unit)));
    }
    const step = (this.width < 500 ? 5 : 3) * 60e3;
    for (let t = Math.ceil((this.now - this.span) / step) * step; t <= this.now; t += step) {
      const x = this.x(t);
      if (x < margin.left + 16 || x > right - 16) continue;
      all.push(svg("line", { class: "rule", x1: x, x2: x, y1: margin.top, y2: this.height - margin.bottom }),
        svg("text", { x, y: this.height - 5, "text-anchor": "middle" }, clock(t, false)));
    }
    return all;
  }

  // gaps are the shaded times in which nothing was sampled or heard.
  gaps() {
    const all = [], shade = (from, to, text) => {
      const x = Math.max(this.x(from), margin.left), width = this.x(to) - x;
      if (width <= 0) return;
      all.push(svg("rect", { class: "silent", x, width, y: margin.top, height: this.height - margin.top - margin.bottom }));
      if (text && width > 0) all.push(svg("text", { class: "silence", x: Math.min(x + width, this.width - margin.right) - 4, y: margin.top + 14, "text-anchor": "end" }, text));
    };
    for (let i = 1; i < this.samples.length; i++) {
      if (this.samples[i].at - this.samples[i - 1].at > gapMillis) shade(this.samples[i - 1].at, this.samples[i].at);
    }
    if (this.now - this.heard > gapMillis) shade(this.heard, this.now, "nothing heard for " + Math.round((this.now - this.heard) / 1000) + " s");
    return all;
  }

  line(i) {
    let d = "", last = -Infinity;
    for (const s of this.samples) {
      const v = this.value(s, i);
      if (v === null || s.at < this.now - this.span) continue;
      d += (s.at - last > gapMillis ? "M" : "L") + this.x(s.at).toFixed(1) + " " + this.y(v).toFixed(1);
      last = s.at;
    }
    return d;
  }

  nearest(at) {
    let best = null;
    for (const s of this.samples) if (!best || Math.abs(s.at - at) < Math.abs(best.at - at)) best = s;
    return best;
  }
}
