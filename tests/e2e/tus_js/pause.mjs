// Abort an upload while its first bytes are on the way, as a pause button does, and start it again.

import { makeUpload, tell } from "./talk.mjs";

let paused = false;
const upload = makeUpload({
  onProgress(sent) {
    if (sent > 0 && !paused) {
      paused = true;
      upload.abort();
      tell("paused", { url: upload.url, sent });
      // The aborted request has to be over before; a person takes longer too.
      setTimeout(() => upload.start(), 200);
    }
  },
  onSuccess() {
    tell("success", { url: upload.url });
  },
});
upload.start();
