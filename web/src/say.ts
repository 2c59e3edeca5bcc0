import type { Conversion } from "./api/client";
import { LoginNeeded, Problem, Unreachable } from "./api/problem";
import { t } from "./lang";

type Failure = NonNullable<Conversion["error"]>;
type Warning = Conversion["warnings"][number];

/** What a person is told about any error. It is never empty. */
export function say(error: unknown): string {
  if (error instanceof Problem) return t.problems[error.code] ?? (error.detail || t.unknownProblem);
  if (error instanceof Unreachable) return t.unreachable;
  if (error instanceof LoginNeeded) return t.login.endedTitle;
  return t.unknownProblem;
}

/** Why a conversion has failed. */
export function sayFailure({ type, detail }: Failure): string {
  return t.failures[type] ?? (detail || t.unknownProblem);
}

/** What a person should know about an MP3. */
export function sayWarning({ code, detail }: Warning): string {
  return t.warnings[code] ?? detail;
}
