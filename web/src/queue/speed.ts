const WINDOW_MS = 8000;

/** The speed over the last few seconds, so that the number shown neither jumps nor lags. */
export class Speed {
  #points: { at: number; bytes: number }[] = [];

  /** Say how many bytes have been sent by now. */
  note(bytes: number, at: number): void {
    if (bytes < (this.#points.at(-1)?.bytes ?? 0)) this.#points = [];
    this.#points.push({ at, bytes });
    while (this.#points.length > 2 && this.#points[0]!.at < at - WINDOW_MS) this.#points.shift();
  }

  /** Bytes per second; null until that is known. */
  get value(): number | null {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < 500) return null;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }

  reset(): void {
    this.#points = [];
  }
}
