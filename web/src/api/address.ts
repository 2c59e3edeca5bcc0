/** The address of something next to this page. On AWS all is below `/<stage>/`, so nothing may start with a slash. */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}
