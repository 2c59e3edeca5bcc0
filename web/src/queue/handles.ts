/**
 * Handles to files, kept in IndexedDB, so that an upload can resume after the page was closed without the file being
 * chosen again. Only browsers with the File System Access API provide handles; elsewhere nothing is kept.
 */
const STORE = "files";

// https://wicg.github.io/file-system-access/: not yet in TypeScript's DOM library.
export interface FileHandle extends FileSystemFileHandle {
  queryPermission?(options: { mode: "read" }): Promise<PermissionState>;
  requestPermission?(options: { mode: "read" }): Promise<PermissionState>;
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await promise(open());
  try {
    return await promise(work(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function open(): IDBOpenDBRequest {
  const request = indexedDB.open("video2mp3", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return request;
}

function promise<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export const handles = {
  /** Keep a handle. It does no harm if the browser cannot, as in a private window. */
  keep: (key: string, handle: FileHandle) => run("readwrite", (store) => store.put(handle, key)).catch(() => {}),

  forget: (key: string) => run("readwrite", (store) => store.delete(key)).catch(() => {}),

  /** The handle that was kept; null if there is none. */
  get: (key: string) =>
    run<FileHandle | undefined>("readonly", (store) => store.get(key)).then(
      (handle) => handle ?? null,
      () => null,
    ),
};

/** The file behind a handle; null if it is gone, or the browser wants to ask and must not. */
export async function fileBehind(handle: FileHandle, { mayAsk }: { mayAsk: boolean }): Promise<File | null> {
  try {
    let permission = (await handle.queryPermission?.({ mode: "read" })) ?? "prompt";
    if (permission === "prompt" && mayAsk) {
      permission = (await handle.requestPermission?.({ mode: "read" })) ?? "denied";
    }
    return permission === "granted" ? await handle.getFile() : null;
  } catch {
    return null;
  }
}
