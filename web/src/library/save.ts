import { address } from "../api/address";
import type { Link } from "../api/client";

/**
 * The address of a signed link, relative to this page. The service may have several host names, and the
 * Content-Security-Policy allows only this one.
 */
export function localAddress(link: Link): string {
  return address(link.url.slice(link.url.indexOf("/v1/downloads/") + 1));
}

/** The token of a signed link to one MP3. */
export const tokenOf = (link: Link): string => link.url.slice(link.url.lastIndexOf("/") + 1);

/** Let the browser download what a signed link leads to. */
export function save(link: Link): void {
  const anchor = document.createElement("a");
  anchor.href = localAddress(link);
  anchor.download = "";
  anchor.click();
}
