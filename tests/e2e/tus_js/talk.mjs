// What the scripts here share. Each is told what to do by one JSON argument, and tells what happens as lines of JSON.

import { createReadStream } from "node:fs";
import { PassThrough } from "node:stream";
import { FileUrlStorage, Upload } from "tus-js-client";

export const told = JSON.parse(process.argv[2]);

export function tell(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

/** Make the upload of told.file with told.options. It is not started. */
export function makeUpload(events = {}) {
  const file = createReadStream(told.file);
  return new Upload(told.asStream ? file.pipe(new PassThrough()) : file, {
    endpoint: told.endpoint,
    headers: { Authorization: `Bearer ${told.token}` },
    // The upload may be locked for a moment by the request before, and a server may be starting again.
    retryDelays: [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000],
    ...(told.urls ? { urlStorage: new FileUrlStorage(told.urls) } : {}),
    onAfterResponse(request, response) {
      tell("answer", {
        method: request.getMethod(),
        url: request.getURL(),
        from: request.getHeader("Upload-Offset"),
        status: response.getStatus(),
        offset: response.getHeader("Upload-Offset"),
      });
    },
    onError(error) {
      tell("error", { message: error.message, status: error.originalResponse?.getStatus() });
    },
    ...events,
    ...told.options,
  });
}
