/** Bundles extract.ts for Node, with the module of the page that it tries. */
export default {
  root: import.meta.dirname,
  build: { ssr: "extract.ts", minify: false, emptyOutDir: true },
  ssr: { noExternal: true },
};
