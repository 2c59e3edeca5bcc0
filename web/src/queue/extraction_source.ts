import type { Extraction } from "../sound";

/**
 * The bytes of an extraction by position, as tus wants them. The extraction gives the same bytes each time, so earlier
 * bytes are read again from the beginning. At most one slice is held in memory.
 */
export class ExtractionSource {
  /** Why the extraction cannot go on; null while it can. */
  broken: unknown = null;

  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #abort = new AbortController();
  #parts: Uint8Array[] = [];
  #position = 0; // of the first byte in #parts
  #held = 0; // bytes in #parts
  #done = false;

  #closed = false;

  /** `onRead` is called whenever something was read, which may go on for long before there is a slice. */
  constructor(
    private readonly extraction: Pick<Extraction, "stream">,
    private readonly onRead: () => void = () => {},
  ) {}

  async slice(start: number, end: number): Promise<{ value: Blob | null; done: boolean }> {
    try {
      if (start < this.#position) this.#rewind();
      await this.#readUntil(start, end);
    } catch (error) {
      if (!this.#closed) this.broken = error;
      throw error;
    }
    const value = new Blob(this.#parts as BlobPart[]).slice(0, end - start);
    return {
      value: value.size === 0 ? null : value,
      done: this.#done && value.size === this.#held,
    };
  }

  /** Stop reading for good. A slice that is being read is rejected. */
  close(): void {
    this.#closed = true;
    this.#rewind();
  }

  #rewind(): void {
    this.#abort.abort();
    this.#reader?.cancel().catch(() => {});
    this.#reader = null;
    this.#parts = [];
    this.#position = this.#held = 0;
    this.#done = false;
  }

  async #readUntil(start: number, end: number): Promise<void> {
    this.#throwIfClosed();
    if (this.#reader === null) {
      this.#abort = new AbortController();
      this.#reader = this.extraction.stream(this.#abort.signal).getReader();
    }
    const reader = this.#reader;
    this.#dropBefore(start);
    while (!this.#done && this.#position + this.#held < end) {
      const { value, done } = await reader.read();
      this.#throwIfClosed();
      this.onRead();
      if (done) {
        this.#done = true;
      } else {
        this.#parts.push(value);
        this.#held += value.length;
        this.#dropBefore(start);
      }
    }
    if (this.#position < start) throw new Error("The extraction is shorter than before.");
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new DOMException("The source was closed.", "AbortError");
  }

  #dropBefore(start: number): void {
    let first: Uint8Array | undefined;
    while (this.#position < start && (first = this.#parts.shift()) !== undefined) {
      const dropped = Math.min(first.length, start - this.#position);
      if (dropped < first.length) this.#parts.unshift(first.subarray(dropped));
      this.#position += dropped;
      this.#held -= dropped;
    }
  }
}
