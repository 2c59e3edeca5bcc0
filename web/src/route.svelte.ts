export type Route =
  { page: "home" } | { page: "library" } | { page: "account" } | { page: "link"; token: string } | { page: "lost" };

/** What a hash such as `#/library` leads to. */
export function routeOf(hash: string): Route {
  const [page = "", ...rest] = hash.replace(/^#\/?/, "").split("/");
  if (page === "") return { page: "home" };
  if (page === "library" || page === "account") return { page };
  if (page === "link" && rest.length > 0) return { page, token: rest.join("/") };
  return { page: "lost" };
}

class Router {
  route = $state<Route>(routeOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.route = routeOf(location.hash)));
  }
}

export const router = new Router();
