import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { compress } from "./plugins/compress.ts";

export default defineConfig({
  // On AWS the page is below /<stage>/, so every address in it is relative.
  base: "./",
  plugins: [svelte(), compress()],
  build: {
    outDir: "../functions/page/site",
    emptyOutDir: true,
    // For tests, which look at what a first visit loads. The function page serves no names with a dot before them.
    manifest: ".manifest.json",
    // The Content-Security-Policy allows neither scripts nor styles that stand in the document.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // For `node --run dev`, beside a stack that `make run` has started.
    proxy: { "/v1": process.env["VIDEO2MP3_URL"] ?? "http://127.0.0.1:8080" },
  },
  // Without it Vitest would load Svelte's server build.
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
  test: { include: ["{src,plugins}/**/*.test.ts"] },
});
