import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const SCOPE = "https://example.com/prod/";
const source = readFileSync(new URL("../public/sw.js", import.meta.url), "utf8");

/** Run the worker, share videos with it, and return its answer and the names under which it has kept them. */
async function share(videos: File[], { full = false } = {}) {
  const listeners: Record<string, (event: unknown) => void> = {};
  const kept: string[] = [];
  const cache = {
    async put(name: string) {
      if (full) throw new DOMException("The storage is full.", "QuotaExceededError");
      kept.push(name);
    },
  };
  const scope = {
    addEventListener: (name: string, listener: (event: unknown) => void) => (listeners[name] = listener),
    registration: { scope: SCOPE },
  };
  new Function("self", "caches", "console", source)(scope, { open: async () => cache }, { error: () => {} });

  const form = new FormData();
  for (const video of videos) form.append("video", video);
  let answer: Promise<Response> | undefined;
  listeners["fetch"]!({
    request: { method: "POST", url: `${SCOPE}share`, formData: async () => form },
    respondWith: (promise: Promise<Response>) => (answer = promise),
  });
  const { status, headers } = await answer!;
  return { kept, status, location: headers.get("Location") };
}

const video = (name: string) => new File(["film"], name, { type: "video/mp4" });

test("what is shared is kept for the page under names of its own", async () => {
  const first = await share([video("a.mp4"), video("b.mp4")]);
  const second = await share([video("c.mp4")]);

  expect(first.location).toBe(`${SCOPE}#/`);
  expect(new Set([...first.kept, ...second.kept]).size).toBe(3);
});

test("where the storage is full, the page is shown in place of an error", async () => {
  expect(await share([video("a.mp4")], { full: true })).toEqual({ kept: [], status: 303, location: `${SCOPE}#/` });
});
