// Bundles the page into one script. Parts of Grafana's components that no panel of ours shows lean on
// large packages; those are left out (`overrides` of package.json) and stand here as nothing.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const { overrides } = JSON.parse(readFileSync("package.json", "utf-8"));
const names = Object.keys(overrides).map((name) => name.replace(/[/.]/g, "\\$&"));
const nothing = {
  name: "nothing",
  setup(made) {
    made.onResolve({ filter: new RegExp(`^(${names.join("|")})(/|$)`) }, ({ path }) => ({ path, namespace: "nothing" }));
    made.onLoad({ filter: /.*/, namespace: "nothing" }, () => ({ contents: "module.exports = {};", loader: "js" }));
  },
};
await build({
  entryPoints: ["page.jsx"], bundle: true, outfile: process.argv[2], jsx: "automatic", metafile: true,
  plugins: [nothing], logLevel: "error", logOverride: { "import-is-undefined": "silent" },
  define: { "process.env.NODE_ENV": '"production"' }, loader: { ".svg": "text" },
}).then(async (m) => { if (process.argv[3]) (await import("node:fs")).writeFileSync(process.argv[3], JSON.stringify(m.metafile)); });
