export type Route =
  { page: "home" } | { page: "library" } | { page: "account" } | { page: "link"; token: string } | { page: "lost" };

/** What a hash such as `#/library` leads to. */
export function routeOf(hash: string): Route {
  const [page = "", token, ...more] = hash.replace(/^#\/?/, "").split("/");
  if (page === "") return { page: "home" };
  if (page === "library" || page === "account") return { page };
  // A token is one segment. With more of them, a link could lead to another address of the service.
  if (page === "link" && token && more.length === 0) return { page, token };
  return { page: "lost" };
}

class Router {
  route = $state<Route>(routeOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.route = routeOf(location.hash)));
  }
}

export const router = new Router();
