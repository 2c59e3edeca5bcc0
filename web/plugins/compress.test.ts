import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

import { afterEach, beforeEach, expect, test } from "vitest";

import { compressFolder } from "./compress.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "compress-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("a script gets both forms, which hold its very bytes", async () => {
  const script = "console.log('é');\n".repeat(100);
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "assets/index.js"), script);

  await compressFolder(folder);

  const [br, gz] = await Promise.all([".br", ".gz"].map((end) => readFile(join(folder, `assets/index.js${end}`))));
  expect(brotliDecompressSync(br!).toString()).toBe(script);
  expect(gunzipSync(gz!).toString()).toBe(script);
});

test("what does not become smaller is left as it is", async () => {
  await writeFile(join(folder, "icon.png"), randomBytes(4096));
  await writeFile(join(folder, "empty.css"), "");

  await compressFolder(folder);

  expect((await readdir(folder)).sort()).toEqual(["empty.css", "icon.png"]);
});
