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
  const form = await request.formData();
  const cache = await caches.open(CACHE);
  for (const [index, file] of form.getAll("video").entries()) {
    const headers = { "Content-Type": file.type, "X-Name": encodeURIComponent(file.name) };
    await cache.put(`shared/${index}`, new Response(file, { headers }));
  }
  return Response.redirect(`${self.registration.scope}#/`, 303);
}
