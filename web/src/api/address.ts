/** The address of something beside this page. On AWS everything lies below `/<stage>/`, so nothing may begin with a slash. */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}
