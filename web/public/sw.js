// Accepts the videos that other apps share with this one, and does nothing else: see `share_target` in the manifest.

const CACHE = "video2mp3.shared";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "POST" && url === new URL("share", self.registration.scope).href)
    event.respondWith(take(event.request));
});

async function take(request) {
  try {
    const form = await request.formData();
    const cache = await caches.open(CACHE);
    for (const file of form.getAll("video")) {
      const headers = { "Content-Type": file.type, "X-Name": encodeURIComponent(file.name) };
      // A second share must not replace a first one that is still waiting.
      await cache.put(`shared/${crypto.randomUUID()}`, new Response(file, { headers }));
    }
  } catch (error) {
    // The storage may be full. The page is better than an error of the browser, and has what fitted.
    console.error(error);
  }
  return Response.redirect(`${self.registration.scope}#/`, 303);
}
