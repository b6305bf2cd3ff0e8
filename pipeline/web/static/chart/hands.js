// @ts-check
/** Wheel, pointers and keys: how a person moves the chart. */

/** @typedef {import("./chart.js").Chart} Chart */

const NEAR_BORDER = 5, TAP = 4;

/** @param {Chart} chart @param {AbortSignal} signal */
export function listen(chart, signal) {
  wheel(chart, signal);
  pointers(chart, signal);
  keys(chart, signal);
}

/** @param {Chart} chart @param {AbortSignal} signal */
function wheel(chart, signal) {
  chart.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.offsetX > chart.width) chart.stretch(Math.exp(event.deltaY * 0.001));
    else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) chart.pan((sideways / chart.width) * (chart.to - chart.from));
    else chart.zoom(Math.exp(event.deltaY * 0.0015), Math.min(1, event.offsetX / chart.width));
  }, { passive: false, signal });
}

/** The border that is under there: the number of the pane above it, or -1. @param {Chart} chart @param {number} y */
function borderAt(chart, y) {
  return chart.placed.findIndex((at, i) => i < chart.placed.length - 1 && Math.abs(at.top + at.height - y) < NEAR_BORDER);
}

/** @param {Chart} chart @param {AbortSignal} signal */
function pointers(chart, signal) {
  const { canvas } = chart;
  /** @type {Map<number, PointerEvent>} */
  const down = new Map();
  let border = -1, moved = 0, onAxis = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
    moved = 0;
    border = borderAt(chart, event.offsetY);
    onAxis = event.offsetX > chart.width;
  }, { signal });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId), [first, second] = [...down.values()];
    if (before && down.size === 1) {
      const x = before.offsetX - event.offsetX, y = event.offsetY - before.offsetY;
      moved += Math.abs(x) + Math.abs(y);
      if (border >= 0) chart.moveBorder(border, y);
      else if (onAxis) chart.stretch(Math.exp(y * 0.006));
      else chart.pan((x * (chart.to - chart.from)) / chart.width);
    }
    if (before && second) {
      moved = TAP;
      const other = before === first ? second : first;
      const was = Math.abs(before.offsetX - other.offsetX), is = Math.abs(event.offsetX - other.offsetX);
      if (was > 10 && is > 10) chart.zoom(was / is, (event.offsetX + other.offsetX) / 2 / chart.width);
    }
    if (before) down.set(event.pointerId, event);
    chart.pointer = { x: event.offsetX, y: event.offsetY };
    canvas.style.cursor = borderAt(chart, event.offsetY) >= 0 ? "row-resize" : event.offsetX > chart.width ? "ns-resize" : chart.markAt(event.offsetX, event.offsetY) ? "pointer" : "crosshair";
    chart.told.pointed?.(Math.max(0, Math.min(chart.series.count - 1, chart.placeAt(event.offsetX))));
    chart.draw();
  }, { signal });
  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    canvas.addEventListener(name, (event) => {
      down.delete(event.pointerId);
      const mark = name === "pointerup" && moved < TAP ? chart.markAt(event.offsetX, event.offsetY) : null;
      if (mark) chart.told.chosen?.(mark);
    }, { signal });
  }
  canvas.addEventListener("pointerleave", () => {
    chart.pointer = null;
    chart.told.pointed?.(null);
    chart.draw();
  }, { signal });
  canvas.addEventListener("dblclick", () => chart.newest(), { signal });
}

/** @param {Chart} chart @param {AbortSignal} signal */
function keys(chart, signal) {
  const width = () => chart.to - chart.from;
  /** @type {Record<string, () => void>} */
  const acts = {
    ArrowLeft: () => chart.pan(-width() / 10),
    ArrowRight: () => chart.pan(width() / 10),
    ArrowUp: () => chart.stretch(0.9),
    ArrowDown: () => chart.stretch(1.1),
    PageUp: () => chart.pan(-width()),
    PageDown: () => chart.pan(width()),
    "+": () => chart.zoom(0.8),
    "-": () => chart.zoom(1.25),
    Home: () => chart.show(0, width()),
    End: () => chart.newest(),
  };
  chart.canvas.addEventListener("keydown", (event) => {
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }, { signal });
}
