/** An error that the service describes according to RFC 9457. Its `detail` is written for the person. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: readonly { field: string; message: string }[] = [],
  ) {
    super(`${status} ${code}: ${detail}`);
    this.name = "Problem";
  }

  /** Whether the same request may work later. */
  get isTemporary(): boolean {
    return this.status >= 500 || [408, 423, 429].includes(this.status);
  }
}

/** The service could not be reached at all. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** There is no session, or it has ended: the person has to log in. */
export class LoginNeeded extends Error {
  override readonly name = "LoginNeeded";
}

/** Read the problem in an answer. An answer without one, such as a proxy's, becomes a problem without a detail. */
export function problemOf(status: number, body: string): Problem {
  try {
    const { type, detail, errors } = JSON.parse(body);
    return new Problem(status, String(type).replace("/problems/", ""), String(detail ?? ""), errors ?? []);
  } catch {
    return new Problem(status, "unknown", "");
  }
}
