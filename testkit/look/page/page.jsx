// Draws a dashboard's JSON with Grafana's own components, and tells what became of each panel.
import {
  applyFieldOverrides, createTheme, dateTime, fieldReducers, FieldType, getFieldDisplayValues,
  getFieldSeriesColor, toDataFrame,
} from "@grafana/data";
import { BigValue, GlobalStyles, ThemeContext, TimeSeries, VizRepeater } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import "uplot/dist/uPlot.min.css";
import { ignored, registry } from "./known.js";

const MOST_FRAMES = 600;
const CELL = { width: 60, height: 38, gap: 8, title: 30 };
// What Grafana's panels have where a dashboard says nothing.
const OWN = { timeseries: { color: { mode: "palette-classic" }, custom: { drawStyle: "line", lineInterpolation: "linear", gradientMode: "none", axisPlacement: "auto", spanNulls: false } }, stat: { color: { mode: "thresholds" } } };

function configured({ type, fieldConfig }) {
  const own = OWN[type];
  return fieldConfig && { ...fieldConfig, defaults: { ...own, ...fieldConfig.defaults, custom: { ...own.custom, ...fieldConfig.defaults.custom } } };
}

function filled(text, variables) {
  return text.replace(/\$(\w+)/g, (whole, name) => variables[name] ?? whole);
}

async function ask(asked, promql, target) {
  const words = new URLSearchParams({ query: filled(promql, asked.variables), start: asked.from, end: asked.to, step: asked.step });
  const answer = await (await fetch(`${asked.prometheus}/api/v1/query_range?${words}`)).json();
  if (answer.status !== "success") throw new Error(`${promql}: ${answer.error}`);
  const legend = target.legendFormat;
  return answer.data.result.map(({ metric, values }) => {
    const labels = Object.entries(metric).map(([name, value]) => `${name}="${value}"`).join(", ");
    const name = legend ? legend.replace(/{{\s*(\w+)\s*}}/g, (_, label) => metric[label] ?? "") : `{${labels}}`;
    const at = new Map(values.map(([time, value]) => [time, value === "NaN" ? null : Number(value)]));
    const times = [];
    for (let time = asked.from; time <= asked.to; time += asked.step) times.push(time);
    return toDataFrame({ refId: target.refId, fields: [
      { name: "Time", type: FieldType.time, values: times.map((time) => time * 1000) },
      { name: "Value", type: FieldType.number, labels: metric, config: { displayNameFromDS: name }, values: times.map((time) => at.get(time) ?? null) },
    ] });
  });
}

function Numbers({ asked, panel, frames, theme, width, height }) {
  const { reduceOptions, ...looks } = { wideLayout: true, ...panel.options };
  const shown = () => getFieldDisplayValues({ fieldConfig: configured(panel), reduceOptions, replaceVariables: (text) => text, theme, data: frames, sparkline: looks.graphMode !== "none", timeZone: "utc" });
  return <VizRepeater getValues={shown} renderValue={({ value, width, height, count }) =>
    <BigValue value={value.display} sparkline={value.sparkline} count={count} width={width} height={height} theme={theme} {...looks} />}
    source={frames} width={width} height={height} renderCounter={0} autoGrid={true} orientation={looks.orientation} />;
}

function Panel({ asked, panel, frames, error, theme }) {
  const { x, y, w, h } = panel.gridPos;
  const width = w * CELL.width - CELL.gap;
  const height = h * CELL.height - CELL.gap;
  const place = { position: "absolute", left: x * CELL.width, top: y * CELL.height, width, height };
  if (panel.type === "row") return <h2 style={{ ...place, margin: 0, font: "500 16px Inter, sans-serif", color: theme.colors.text.primary }}>{panel.title}</h2>;
  const inside = { width: width - 16, height: height - CELL.title - 8 };
  const nothing = panel.fieldConfig.defaults.noValue ?? "No data";
  const range = { from: dateTime(asked.from * 1000), to: dateTime(asked.to * 1000), raw: { from: "now-30m", to: "now" } };
  return <section style={{ ...place, background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, boxSizing: "border-box", padding: "0 8px 8px" }} data-panel={panel.title}>
    <div style={{ height: CELL.title, lineHeight: "30px", fontWeight: 500, overflow: "hidden" }}>{panel.title}</div>
    {error || !frames.length ? <p className="nothing">{error ?? nothing}</p>
      : panel.type === "stat" ? <Numbers {...{ asked, panel, frames, theme }} {...inside} />
      : <TimeSeries frames={frames} structureRev={1} timeRange={range} timeZone="utc" legend={panel.options.legend} {...inside} />}
  </section>;
}

/** Draw a board; return for each panel what was asked, drawn and ignored, once all is painted. */
window.look = async (asked) => {
  const theme = createTheme({ colors: { mode: asked.mode ?? "dark" } });
  const panels = await Promise.all(asked.board.panels.map(async (panel) => {
    let frames = [], error;
    try {
      const answers = await Promise.all((panel.targets ?? []).map((target) => ask(asked, target.expr, target)));
      frames = applyFieldOverrides({ data: answers.flat(), fieldConfig: configured(panel), fieldConfigRegistry: registry, replaceVariables: (text) => text, theme, timeZone: "utc" });
    } catch (caught) { error = String(caught.message ?? caught); }
    return { panel, frames, error };
  }));
  document.body.style.cssText = `margin:0;background:${theme.colors.background.canvas};color:${theme.colors.text.primary};font:14px Inter, sans-serif`;
  const page = document.getElementById("page");
  page.style.cssText = `position:relative;margin:8px;width:${24 * CELL.width}px;height:${CELL.height * Math.max(...panels.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h))}px`;
  createRoot(page).render(<ThemeContext.Provider value={theme}><GlobalStyles isExtensionSidebarOpen={false} hackNoBackdropBlur={true} />{panels.map((one, at) => <Panel key={at} asked={asked} theme={theme} {...one} />)}</ThemeContext.Provider>);
  await document.fonts.ready;
  const shown = panels.filter(({ panel }) => panel.type !== "row");
  // Components draw when they have been laid out, on a busy machine many frames later. What is still blank after MOST_FRAMES is.
  for (let frame = 0; frame < MOST_FRAMES && !shown.every(isThere); frame++) await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame); // the rest of a picture that has begun
  return shown.map((one) => told(one, theme));
};

function placeOf(panel) {
  return document.querySelector(`[data-panel=${CSS.escape(panel.title)}]`);
}

/** Whether nothing of a panel is still to come: it has no series, or they are seen. */
function isThere({ panel, frames, error }) {
  const place = placeOf(panel);
  return place !== null && (error || !frames.length || isDrawn(panel, place));
}

function isDrawn(panel, place) {
  return panel.type === "timeseries" ? painted(place) : place.querySelector("p.nothing") === null && /\d|[a-z]/.test(place.innerText.slice(panel.title.length));
}

function told({ panel, frames, error }, theme) {
  const place = placeOf(panel);
  const fields = frames.map((frame) => frame.fields[1]);
  return {
    title: panel.title, error: error ?? null, ignored: ignored(panel), series: fields.map((field) => field.config.displayNameFromDS),
    colours: Object.fromEntries(fields.map((field) => [field.config.displayNameFromDS, getFieldSeriesColor(field, theme).color])),
    drawn: isDrawn(panel, place),
    text: place.innerText,
  };
}

/** Whether a series is seen where series are drawn: the grid there is all but transparent. */
function painted(place) {
  const [canvas, over] = [place.querySelector("canvas"), place.querySelector(".u-over")];
  if (!canvas || !over) return false;
  const [whole, inner] = [canvas.getBoundingClientRect(), over.getBoundingClientRect()];
  const scale = canvas.width / whole.width;
  const [left, top, width, height] = [inner.left - whole.left, inner.top - whole.top, inner.width, inner.height].map((px) => Math.round(px * scale));
  // A copy, which may be read often: the canvas itself is for drawing.
  const copy = new OffscreenCanvas(width, height + 1).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, left, top, width, height + 1, 0, 0, width, height + 1);
  const { data } = copy.getImageData(0, 0, width, height + 1);
  for (let at = 3; at < data.length; at += 4) if (data[at] > 100) return true; // of 255
  return false;
}
