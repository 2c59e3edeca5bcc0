import { address } from "./address";
import { LoginNeeded, problemOf, Unreachable, type Problem } from "./problem";
import type { components } from "./schema";
import { Session, type Tokens } from "./session";
import { Successors } from "./successors";

type Schemas = components["schemas"];
export type Conversion = Schemas["Conversion"];
export type User = Schemas["User"];
export type Link = Schemas["Link"];
export type Page = Schemas["Page"];
export type Usage = Schemas["Usage"];

interface Request {
  method?: string;
  json?: unknown;
  headers?: Record<string, string>;
  /** Let the request outlive the page. */
  keepalive?: boolean;
}

/** Long enough for every answer of the API. Uploads have a watch of their own. */
const ANSWER_MS = 20_000;

/** Dispatches `end` when the service no longer accepts the session, and `change` when the person is another one, or none. */
export const sessionEvents = new EventTarget();

export const session = new Session({
  refresh: (token) =>
    read<Tokens>(
      send("v1/auth/refresh", {
        method: "POST",
        json: { refresh_token: token },
      }),
    ),
  lasting: localStorage,
  passing: sessionStorage,
  successors: new Successors("BroadcastChannel" in globalThis ? new BroadcastChannel("video2mp3.session") : null),
  now: Date.now,
  // Web Locks exist only on secure origins. Elsewhere, people have to make do with one tab at a time.
  exclusively: async (work) =>
    "locks" in navigator ? await navigator.locks.request("video2mp3.refresh", work) : await work(),
  ended: () => sessionEvents.dispatchEvent(new Event("end")),
  changed: () => sessionEvents.dispatchEvent(new Event("change")),
});

async function send(path: string, { json, ...request }: Request = {}): Promise<Response> {
  const init: RequestInit = {
    ...request,
    signal: AbortSignal.timeout(ANSWER_MS),
    headers: { ...request.headers },
    credentials: "omit",
  };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers = { ...request.headers, "Content-Type": "application/json" };
  }
  return await reached(fetch(address(path), init));
}

/** Fetching rejects if the service cannot be reached, or takes too long; so does reading what it answers. */
async function reached<T>(waiting: Promise<T>): Promise<T> {
  try {
    return await waiting;
  } catch {
    throw new Unreachable();
  }
}

/** Send a request with the access token, and once more with a fresh one if the service refuses it. */
async function sendAsUser(path: string, request: Request = {}): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    const token = await session.token();
    const answer = await send(path, {
      ...request,
      headers: { ...request.headers, Authorization: `Bearer ${token}` },
    });
    if (answer.status !== 401) return answer;
    session.distrust(token);
    if (attempt === 2) throw new LoginNeeded();
  }
}

async function problemIn(answer: Response): Promise<Problem> {
  return problemOf(answer.status, await reached(answer.text()));
}

async function read<T>(sending: Promise<Response>): Promise<T> {
  const answer = await sending;
  if (!answer.ok) throw await problemIn(answer);
  return (answer.status === 204 ? undefined : await reached(answer.json())) as T;
}

const conversion = (id: string) => `v1/conversions/${encodeURIComponent(id)}`;

export const api = {
  register: (email: string, password: string) =>
    read<User>(send("v1/auth/register", { method: "POST", json: { email, password } })),

  logIn: (email: string, password: string) =>
    read<Tokens>(send("v1/auth/login", { method: "POST", json: { email, password } })),

  logOut: () => read<void>(sendAsUser("v1/auth/logout", { method: "POST" })),

  me: () => read<User>(sendAsUser("v1/auth/me")),

  usage: () => read<Usage>(sendAsUser("v1/usage")),

  /** One page of the person's conversions, newest first; only those in `state` if it is given. */
  list: (cursor: string | null, limit = 50, state?: Conversion["state"]) => {
    const query = new URLSearchParams({ limit: `${limit}`, ...(cursor && { cursor }), ...(state && { state }) });
    return read<Page>(sendAsUser(`v1/conversions?${query}`));
  },

  /** The conversions with these ids as they are now; null if nothing has changed since `etag`. */
  async watch(
    ids: readonly string[],
    etag: string | null,
  ): Promise<{ items: Conversion[]; etag: string | null } | null> {
    const answer = await sendAsUser(`v1/conversions?ids=${ids.map(encodeURIComponent).join(",")}`, {
      headers: etag === null ? {} : { "If-None-Match": etag },
    });
    if (answer.status === 304) return null;
    if (!answer.ok) throw await problemIn(answer);
    return {
      items: ((await reached(answer.json())) as Page).items,
      etag: answer.headers.get("ETag"),
    };
  },

  remove: (id: string) => read<void>(sendAsUser(conversion(id), { method: "DELETE" })),

  /** Ask for a deletion while the page is closing, if that needs no refresh. Nothing will tell whether it arrives. */
  removeAtLast(id: string): void {
    const token = session.validToken;
    if (token === null) return;
    const headers = { Authorization: `Bearer ${token}` };
    void send(conversion(id), { method: "DELETE", headers, keepalive: true }).catch(() => {});
  },

  retry: (id: string) => read<Conversion>(sendAsUser(`${conversion(id)}/retry`, { method: "POST" })),

  link: (id: string, ttlSeconds: number) =>
    read<Link>(
      sendAsUser(`${conversion(id)}/link`, {
        method: "POST",
        json: { ttl_seconds: ttlSeconds },
      }),
    ),

  zipLink: (ids: readonly string[]) =>
    read<Link>(sendAsUser("v1/conversions/zip/link", { method: "POST", json: { ids } })),

  endUpload: (url: string) =>
    read<void>(
      sendAsUser(url, {
        method: "DELETE",
        headers: { "Tus-Resumable": "1.0.0" },
      }),
    ),

  /** What is behind a signed address, without fetching it. */
  async look(url: string): Promise<{ name: string; bytes: number }> {
    const answer = await send(url, { method: "HEAD" });
    if (!answer.ok) throw await problemIn(answer);
    return {
      name: nameIn(answer.headers.get("Content-Disposition")),
      bytes: Number(answer.headers.get("Content-Length")),
    };
  },

  /** The first bytes of an MP3 behind a signed address. */
  async beginning(url: string, bytes: number): Promise<Uint8Array> {
    const answer = await send(url, {
      headers: { Range: `bytes=0-${bytes - 1}` },
    });
    if (!answer.ok) throw await problemIn(answer);
    return new Uint8Array(await reached(answer.arrayBuffer()));
  },
};

/** The file name in a Content-Disposition, in either of the forms of RFC 6266. */
export function nameIn(disposition: string | null): string {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "")?.[1];
  if (extended !== undefined) return decodeURIComponent(extended);
  return /filename="([^"]*)"/i.exec(disposition ?? "")?.[1] ?? "";
}
