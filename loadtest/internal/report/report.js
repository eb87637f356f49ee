// Draws each figure with uPlot from the JSON that the figure holds.
(() => {
  "use strict";
  const height = 210;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const figure = (v) => (v == null ? "–" : v >= 1000 ? whole.format(v) : short.format(v));

  const clock = (v) => {
    const s = Math.floor(v), two = (n) => String(n).padStart(2, "0");
    const minutes = `${Math.floor(s / 60) % 60}`;
    return s < 3600 ? `${minutes}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(minutes)}:${two(s % 60)}`;
  };

  // What the x axis may be. A value of it is text; splits and incrs say where the axis has ticks.
  const axes = {
    time: { text: clock, incrs: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800] },
    latency: { text: (v) => `${figure(v)} ms`, distr: 3 },
    block: { text: (v) => `${v}`, incrs: [1, 2, 5, 10, 20, 50, 100] },
    nines: {
      text: (v) => `${+(100 - 10 ** (2 - v)).toFixed(Math.max(1, Math.ceil(v) - 1))} %`,
      splits: (plot, axis, low, high) => [Math.log10(2), 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((v) => v >= low && v <= high),
    },
  };

  function options(data, width) {
    const x = axes[data.over], steps = data.over === "latency";
    const axis = (log) => ({
      stroke: colour("--soft"), ticks: { show: false }, font: "12px system-ui, sans-serif",
      // On a logarithmic axis the powers of ten have lines.
      grid: { stroke: colour("--rule"), width: 1, filter: (plot, at) => at.map((v) => (!log || Number.isInteger(+Math.log10(v).toFixed(6)) ? v : null)) },
    });
    const lines = data.lines.map((l) => ({
      label: l.name, stroke: colour(`--c${l.colour}`), width: 1.5, dash: l.dashed ? [5, 3] : undefined, value: (plot, v) => figure(v),
      paths: steps ? uPlot.paths.stepped({ align: 1 }) : undefined, fill: steps ? colour(`--c${l.colour}`) + "22" : undefined,
      points: steps ? { show: false } : { size: 4 },
    }));
    return {
      width, height, padding: [8, 36, 0, 0],
      cursor: { y: false, sync: data.over === "time" ? { key: "time" } : undefined },
      scales: {
        x: { time: false, distr: x.distr ?? 1 },
        y: data.log ? { distr: 3 } : { range: (plot, low, high) => [0, high > 0 ? 1.05 * high : 1] },
      },
      axes: [
        { ...axis(x.distr === 3), space: 50, size: 28, incrs: x.incrs, splits: x.splits, values: (plot, at) => at.map((v) => (v == null ? "" : x.text(v))) },
        { ...axis(data.log), size: 58, values: (plot, at) => at.map((v) => (v == null ? "" : figure(v))) },
      ],
      series: [{ label: data.over === "nines" ? "of requests" : data.over, value: (plot, v) => (v == null ? "–" : x.text(v)) }, ...lines],
    };
  }

  for (const element of document.querySelectorAll("figure")) {
    const data = JSON.parse(element.querySelector("script").textContent);
    const place = element.appendChild(document.createElement("div"));
    let plot, width = 0;
    const draw = () => {
      plot?.destroy();
      plot = width > 0 ? new uPlot(options(data, width), [data.x, ...data.lines.map((l) => l.y)], place) : undefined;
    };
    // A closed <details> has no width until it is opened.
    new ResizeObserver(() => {
      if (place.clientWidth !== width) {
        width = place.clientWidth;
        draw();
      }
    }).observe(place);
    for (const change of ["(prefers-color-scheme: dark)", "print"]) matchMedia(change).addEventListener("change", draw);
  }
})();
