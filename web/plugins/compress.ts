import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import type { Plugin, ResolvedConfig } from "vite";

// If less is saved, it is not worth a second file.
const WORTH = 0.9;

/** Compresses the files of a build once they are written. */
export function compress(): Plugin {
  let config: ResolvedConfig;
  return {
    name: "compress",
    apply: "build",
    configResolved(found) {
      config = found;
    },
    closeBundle: () => compressFolder(resolve(config.root, config.build.outDir)),
  };
}

/** Puts a `.br` and a `.gz` beside each file that becomes clearly smaller. The function page sends these. */
export async function compressFolder(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  await Promise.all(files.map(compressFile));
}

async function compressFile(path: string): Promise<void> {
  const content = await readFile(path);
  const forms = {
    ".br": brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
    ".gz": gzipSync(content, { level: constants.Z_BEST_COMPRESSION }),
  };
  for (const [ending, form] of Object.entries(forms)) {
    if (form.length < content.length * WORTH) await writeFile(path + ending, form);
  }
}
