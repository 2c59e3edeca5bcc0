// Abort an upload after its first chunk, and have the server forget it.

import { makeUpload, tell } from "./talk.mjs";

const upload = makeUpload({
  onChunkComplete() {
    upload.abort(true).then(
      () => tell("terminated", { url: upload.url }),
      (error) => tell("error", { message: error.message }),
    );
  },
});
upload.start();
