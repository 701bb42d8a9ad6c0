// Bundles what browsers load into dist/: names that hold a hash of their content, compressed forms beside them, and
// assets.json, which leads from plain names to hashed ones. Run by `npm run build`.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const web = fileURLToPath(new URL(".", import.meta.url));
const dist = join(web, "dist");
// Every script or style sheet directly in assets/ is a bundle of its own; what they share lies in folders below.
const sources = readdirSync(join(web, "assets"), { withFileTypes: true }).filter((entry) => entry.isFile());
const isBundled = (name) => [".js", ".css"].includes(extname(name));

const bundle = async (paths, define = {}) => (await build({
  entryPoints: paths,
  define,
  bundle: true,
  minify: true,
  format: "esm",
  // What WeChat's browser and phones of the last years understand.
  target: ["chrome87", "safari14.1"],
  loader: { ".svg": "dataurl", ".png": "dataurl", ".woff2": "dataurl" },
  outdir: dist,
  write: false,
  logLevel: "warning",
})).outputFiles.map((file) => [basename(file.path), Buffer.from(file.contents)]);

const hashedName = (name, content) => {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 10);
  return `${basename(name, extname(name))}-${hash}${extname(name)}`;
};

// What lies in assets/late is loaded only once it is needed: bundled first, since others name it by its hash, as `LATE.decode`.
const late = await bundle(readdirSync(join(web, "assets/late")).map((name) => join(web, "assets/late", name)));
const addresses = late.map(([name, content]) => [`LATE.${basename(name, ".js")}`, JSON.stringify(`./${hashedName(name, content)}`)]);
const paths = sources.map((entry) => join(web, "assets", entry.name)).filter(isBundled);
const files = [...late, ...(await bundle(paths, Object.fromEntries(addresses)))];
for (const { name } of sources) {
  if (!isBundled(name)) files.push([name, readFileSync(join(web, "assets", name))]);
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const manifest = {};
for (const [name, content] of files) {
  const hashed = hashedName(name, content);
  manifest[name] = hashed;
  writeFileSync(join(dist, hashed), content);
  const compressed = {
    ".br": brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
    ".gz": gzipSync(content, { level: 9 }),
  };
  for (const [ending, bytes] of Object.entries(compressed)) {
    if (bytes.length < content.length * 0.9) writeFileSync(join(dist, hashed + ending), bytes);
  }
}
writeFileSync(join(dist, "assets.json"), JSON.stringify(manifest));
