import type { DetailedError, Upload as TusUpload, UploadOptions } from "tus-js-client";

import { address } from "../api/address";
import { session } from "../api/client";
import { LoginNeeded, problemOf, type Problem } from "../api/problem";
import type { Extraction } from "../sound";
import { nextTry } from "./backoff";
import { ExtractionSource } from "./extraction_source";

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
}

export interface UploadRequest {
  body: File | Extraction;
  metadata: Record<string, string>;
  /** Identifies this upload, so that it is created only once even if the answer is lost. */
  key: string;
  /** Where to resume; null for a new upload. */
  url: string | null;
}

/** One upload by tus that does not give up while there is hope. */
export class Upload {
  #tus: TusUpload | null = null;
  #source: ExtractionSource | null = null;
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
  ) {}

  async start(): Promise<void> {
    try {
      const { Upload } = await import("tus-js-client");
      if (this.#stopped) return;
      const { body } = this.request;
      // tus-js-client only hands the body to the file reader, and an extraction has a file reader of its own.
      this.#tus = new Upload(body as File, this.#options(body));
    } catch {
      return this.#tryAgain();
    }
    this.#lastProgress = Date.now();
    this.#watch = setInterval(this.#interruptIfStalled, 5000);
    addEventListener("offline", this.#interrupt);
    this.#tus.start();
  }

  /** Stop for now. The service keeps what was sent. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    removeEventListener("offline", this.#interrupt);
    removeEventListener("online", this.#restart);
    void this.#tus?.abort();
    this.#source?.close();
  }

  #options(body: File | Extraction): UploadOptions {
    const options: UploadOptions = {
      endpoint: address("v1/uploads"),
      uploadUrl: this.request.url,
      chunkSize: SLICE,
      metadata: this.request.metadata,
      // We retry and resume ourselves, since both have to be reported and to outlive the page.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onBeforeRequest: async (request) => {
        this.#token = await session.token();
        request.setHeader("Authorization", `Bearer ${this.#token}`);
        if (request.getMethod() === "POST") request.setHeader("Idempotency-Key", this.request.key);
      },
      onUploadUrlAvailable: () => this.events.created(this.#tus!.url!),
      onProgress: (sent, total) => {
        // Not every call means that bytes have moved: one comes before each request.
        if (sent > this.#farthest) this.#attempts = 0;
        this.#farthest = Math.max(this.#farthest, sent);
        this.#lastProgress = Date.now();
        this.events.progress(sent, total);
      },
      onSuccess: () => {
        this.stop();
        this.events.accepted(new URL(this.#tus!.url!).pathname.split("/").at(-1)!);
      },
      onError: (error) => this.#failed(error),
    };
    if (body instanceof File) return options;
    const source = (this.#source = new ExtractionSource(body));
    return {
      ...options,
      uploadLengthDeferred: body.bytes === null,
      uploadSize: body.bytes,
      // The size is null, since the length is given elsewhere or comes later; the types allow only numbers.
      fileReader: {
        openFile: async () => Object.assign(source, { size: null as unknown as number }),
      },
    };
  }

  #failed(error: Error | DetailedError): void {
    if (this.#stopped) return;
    if (this.#source?.broken) return this.#end(() => this.events.extractionFailed());
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
    if (this.#attempts > 0 || !navigator.onLine) this.events.disconnected();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(this.#restart, nextTry(this.#attempts));
    this.#attempts += 1;
    addEventListener("online", this.#restart, { once: true });
  }

  #restart = (): void => {
    clearTimeout(this.#retry);
    removeEventListener("online", this.#restart);
    this.#lastProgress = Date.now();
    if (this.#tus === null) void this.start();
    else this.#tus.start();
  };

  #interruptIfStalled = (): void => {
    if (Date.now() - this.#lastProgress >= STALLED_MS) this.#interrupt();
  };

  /** Give up on a request that nobody will answer. */
  #interrupt = (): void => {
    this.#lastProgress = Date.now();
    void this.#tus?.abort();
    this.#tryAgain();
  };
}
