// What Grafana knows of panels as ours have them: whatever is not here it would ignore in silence.
import { getValueFormats, Registry } from "@grafana/data";
import {
  BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, LegendDisplayMode,
  SortOrder, StackingMode, TooltipDisplayMode, VisibilityMode, VizOrientation,
} from "@grafana/schema";

const any = () => true;
const oneOf = (words) => (value) => Object.values(words).includes(value);
const number = (value) => typeof value === "number";
const flag = (value) => typeof value === "boolean";
const unit = (value) =>
  /^(si|suffix|prefix|count|currency):/.test(value) ||
  getValueFormats().some((group) => group.submenu.some((one) => one.value === value));

const FIELD = {
  unit, min: number, max: number, decimals: number, noValue: any, mappings: Array.isArray,
  thresholds: any, color: (value) => Boolean(value.mode), links: Array.isArray, displayName: any,
};
const LINES = {
  lineWidth: number, fillOpacity: number, fillBelowTo: any, axisCenteredZero: flag, axisLabel: any,
  axisSoftMin: number, axisSoftMax: number, lineStyle: (value) => ["solid", "dash", "dot"].includes(value.fill),
  showPoints: oneOf(VisibilityMode), stacking: (value) => oneOf(StackingMode)(value.mode),
  thresholdsStyle: any, hideFrom: any, spanNulls: any, axisPlacement: any, pointSize: number,
};
const OPTIONS = {
  timeseries: {
    legend: (value) => oneOf(LegendDisplayMode)(value.displayMode) && Array.isArray(value.calcs),
    tooltip: (value) => oneOf(TooltipDisplayMode)(value.mode) && oneOf(SortOrder)(value.sort),
  },
  stat: {
    graphMode: oneOf(BigValueGraphMode), colorMode: oneOf(BigValueColorMode),
    justifyMode: oneOf(BigValueJustifyMode), textMode: oneOf(BigValueTextMode),
    orientation: oneOf(VizOrientation), reduceOptions: (value) => Array.isArray(value.calcs),
    wideLayout: flag,
  },
};

export const registry = new Registry(() => [
  ...Object.keys(FIELD).map((path) => item(path, path, false)),
  ...Object.keys(LINES).map((path) => item(`custom.${path}`, path, true)),
]);

function item(id, path, isCustom) {
  return { id, path, isCustom, name: id, process: (value) => value, shouldApply: any };
}

function unknown(found, known, where) {
  return Object.entries(found ?? {})
    .filter(([name, value]) => !Object.hasOwn(known, name) || !known[name](value))
    .map(([name, value]) => `${where}${name} = ${JSON.stringify(value)}`);
}

/** Return what Grafana would ignore of a panel's settings, in words. */
export function ignored(panel) {
  const { custom, ...defaults } = panel.fieldConfig?.defaults ?? {};
  const lines = panel.type === "timeseries" ? LINES : {};
  const found = [
    ...unknown(defaults, FIELD, "fieldConfig."),
    ...unknown(custom, lines, "fieldConfig.custom."),
    ...unknown(panel.options, OPTIONS[panel.type] ?? {}, "options."),
  ];
  for (const { properties } of panel.fieldConfig?.overrides ?? []) {
    for (const { id, value } of properties) {
      const [known, name] = id.startsWith("custom.") ? [lines, id.slice(7)] : [FIELD, id];
      found.push(...unknown({ [name]: value }, known, "override "));
    }
  }
  return found;
}
