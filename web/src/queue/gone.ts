/** Whether a file was deleted, moved or changed since it was chosen. https://w3c.github.io/FileAPI/#dfn-error-codes */
export async function isGone(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return false;
  } catch (error) {
    return error instanceof DOMException && ["NotReadableError", "NotFoundError"].includes(error.name);
  }
}
