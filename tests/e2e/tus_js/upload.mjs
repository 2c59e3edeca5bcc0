// Upload a file to its end, from where an earlier run stopped if told.urls knows of one.

import { makeUpload, tell } from "./talk.mjs";

const upload = makeUpload({
  onSuccess() {
    tell("success", { url: upload.url });
  },
});
const [previous] = await upload.findPreviousUploads();
if (previous) {
  upload.resumeFromPreviousUpload(previous);
}
upload.start();
