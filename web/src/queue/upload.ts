import type { DetailedError, Upload as TusUpload, UploadOptions } from "tus-js-client";

import { address } from "../api/address";
import { session } from "../api/client";
import { LoginNeeded, problemOf, type Problem } from "../api/problem";
import type { Extraction } from "../sound";
import { nextTry } from "./backoff";
import { ExtractionSource } from "./extraction_source";
import { isGone } from "./gone";

// What fits into one call of a function on AWS.
const SLICE = 4 * 1024 * 1024;
// For a connection that is gone without notice, as after a laptop was asleep.
const STALLED_MS = 60_000;

export interface UploadEvents {
  /** The service knows about the upload, which can be resumed from now on. */
  created(url: string): void;
  /** `total` is null while the length of the sound is not known. */
  progress(sent: number, total: number | null): void;
  /** The service cannot be reached, or asks the client to wait. The upload tries again. */
  disconnected(): void;
  accepted(conversionId: string): void;
  refused(problem: Problem): void;
  loginNeeded(): void;
  /** The sound cannot be extracted from the video after all. */
  extractionFailed(): void;
  /** The file was deleted, moved or changed, and has to be chosen again. */
  fileGone(): void;
}

export interface UploadRequest {
  file: File;
  /** What is sent of the file; null for all of it. */
  extraction: Extraction | null;
  metadata: Record<string, string>;
  /** Identifies this upload, so that it is created only once even if the answer is lost. */
  key: string;
  /** Where to resume; null for a new upload. */
  url: string | null;
}

/**
 * One upload by tus that does not give up while there is hope. Each attempt has a tus-js-client and a source of its own,
 * and what an older one still says is ignored: its `abort` does not stop it from sending a slice that is being read.
 */
export class Upload {
  #attempt: Attempt | null = null;
  #url: string | null;
  #attempts = 0;
  #token = "";
  #lastProgress = 0;
  #farthest = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #stopped = false;

  constructor(
    private readonly request: UploadRequest,
    private readonly events: UploadEvents,
  ) {
    this.#url = request.url;
  }

  async start(): Promise<void> {
    this.#watch = setInterval(this.#interruptIfStalled, 5000);
    addEventListener("offline", this.#interrupt);
    await this.#begin();
  }

  /** Stop for now. The service keeps what was sent. */
  stop(): void {
    this.#stopped = true;
    this.#abandon();
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    removeEventListener("offline", this.#interrupt);
    removeEventListener("online", this.#restart);
  }

  async #begin(): Promise<void> {
    const { file, extraction } = this.request;
    this.#lastProgress = Date.now();
    const attempt: Attempt = { tus: null, source: null };
    this.#attempt = attempt;
    try {
      const { Upload } = await import("tus-js-client");
      if (attempt !== this.#attempt) return;
      if (extraction !== null) attempt.source = new ExtractionSource(extraction, () => this.#live(attempt));
      // tus-js-client only hands the body to the file reader, of which there is our own for an extraction.
      attempt.tus = new Upload(file, this.#options(attempt));
      attempt.tus.start();
    } catch {
      if (attempt === this.#attempt) this.#tryAgain();
    }
  }

  /** Note a sign of life. Returns whether the attempt is still the one that counts. */
  #live(attempt: Attempt): boolean {
    const counts = attempt === this.#attempt;
    if (counts) this.#lastProgress = Date.now();
    return counts;
  }

  #abandon(): void {
    const attempt = this.#attempt;
    this.#attempt = null;
    void attempt?.tus?.abort();
    attempt?.source?.close();
  }

  #options(attempt: Attempt): UploadOptions {
    const { extraction } = this.request;
    const options: UploadOptions = {
      endpoint: address("v1/uploads"),
      uploadUrl: this.#url,
      chunkSize: SLICE,
      metadata: this.request.metadata,
      // We retry and resume ourselves, since both have to be reported and to outlive the page.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onBeforeRequest: async (request) => {
        const token = await session.token();
        if (attempt !== this.#attempt) throw new DOMException("The attempt was given up.", "AbortError");
        this.#token = token;
        request.setHeader("Authorization", `Bearer ${token}`);
        if (request.getMethod() === "POST") request.setHeader("Idempotency-Key", this.request.key);
      },
      onUploadUrlAvailable: () => {
        if (!this.#live(attempt)) return;
        this.#url = attempt.tus!.url!;
        this.events.created(this.#url);
      },
      onProgress: (sent, total) => {
        if (!this.#live(attempt)) return;
        // Not every call tells of bytes that have moved: one comes before each request.
        if (sent > this.#farthest) this.#attempts = 0;
        this.#farthest = Math.max(this.#farthest, sent);
        this.events.progress(sent, total);
      },
      onSuccess: () => {
        if (!this.#live(attempt)) return;
        const { pathname } = new URL(attempt.tus!.url!);
        this.#end(() => this.events.accepted(pathname.split("/").at(-1)!));
      },
      onError: (error) => {
        if (this.#live(attempt)) void this.#failed(error, attempt);
      },
    };
    const { source } = attempt;
    if (extraction === null || source === null) return options;
    return {
      ...options,
      uploadLengthDeferred: extraction.bytes === null,
      uploadSize: extraction.bytes,
      // Its size is null, since the length is said beside it or comes later; the types know of numbers only.
      fileReader: {
        openFile: async () => Object.assign(source, { size: null as unknown as number }),
      },
    };
  }

  async #failed(error: Error | DetailedError, attempt: Attempt): Promise<void> {
    if (attempt.source?.broken) {
      const gone = await isGone(this.request.file);
      if (attempt !== this.#attempt) return;
      return this.#end(() => (gone ? this.events.fileGone() : this.events.extractionFailed()));
    }
    const cause = "causingError" in error ? error.causingError : error;
    if (cause instanceof LoginNeeded) return this.#end(() => this.events.loginNeeded());
    const answer = "originalResponse" in error ? error.originalResponse : null;
    if (!answer) return this.#tryAgain();
    const problem = problemOf(answer.getStatus(), answer.getBody());
    // The offset is not what we thought, or the token was refused: asking again sets it right.
    if (problem.status === 401) session.distrust(this.#token);
    if (problem.isTemporary || ((problem.status === 401 || problem.status === 409) && this.#attempts < 3)) {
      return this.#tryAgain();
    }
    if (problem.status === 401) return this.#end(() => this.events.loginNeeded());
    this.#end(() => this.events.refused(problem));
  }

  #end(tell: () => void): void {
    this.stop();
    tell();
  }

  #tryAgain(): void {
    if (this.#stopped) return;
    this.#abandon();
    if (this.#attempts > 0 || !navigator.onLine) this.events.disconnected();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(this.#restart, nextTry(this.#attempts));
    this.#attempts += 1;
    addEventListener("online", this.#restart, { once: true });
  }

  #restart = async (): Promise<void> => {
    clearTimeout(this.#retry);
    removeEventListener("online", this.#restart);
    // To a browser, a file that it can no longer read looks like a network that is gone.
    const gone = await isGone(this.request.file);
    if (this.#stopped || this.#attempt !== null) return;
    if (gone) this.#end(() => this.events.fileGone());
    else await this.#begin();
  };

  #interruptIfStalled = (): void => {
    if (this.#attempt !== null && Date.now() - this.#lastProgress >= STALLED_MS) this.#interrupt();
  };

  /** Give up a request that nobody will answer. */
  #interrupt = (): void => this.#tryAgain();
}

interface Attempt {
  tus: TusUpload | null;
  source: ExtractionSource | null;
}
