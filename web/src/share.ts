import { address } from "./api/address";

const CACHE = "video2mp3.shared";

/** The files that another app has shared with this one. The service worker puts them in a cache. */
export async function sharedFiles(): Promise<File[]> {
  if (!("caches" in window) || !(await caches.has(CACHE))) return [];
  const cache = await caches.open(CACHE);
  const files: File[] = [];
  for (const request of await cache.keys()) {
    const answer = await cache.match(request);
    // Another one may be arriving, so the cache stays.
    await cache.delete(request);
    const name = decodeURIComponent(answer?.headers.get("X-Name") ?? "");
    if (answer)
      files.push(
        new File([await answer.blob()], name, {
          type: answer.headers.get("Content-Type") ?? "",
        }),
      );
  }
  return files;
}

/** Accept what is shared from now on, in browsers that support it. */
export function acceptShares(): void {
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register(address("sw.js")).catch(() => {});
}
