import type { Dropped } from "./queue/queue.svelte";
import type { FileHandle } from "./queue/handles";

// https://wicg.github.io/file-system-access/: not yet in TypeScript's DOM library.
declare global {
  interface Window {
    showOpenFilePicker?(options: { multiple?: boolean }): Promise<FileHandle[]>;
  }
  interface DataTransferItem {
    getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
  }
  interface FileSystemDirectoryHandle {
    values(): AsyncIterable<FileSystemHandle>;
  }
}

const ENDINGS =
  /\.(3gp|aac|ac3|aiff?|asf|avi|f4v|flac|flv|m2ts|m4[av]|mk[av]|mov|mp[34]|mpe?g|mts|mxf|og[agv]|opus|ts|vob|wav|webm|wm[av])$/i;

/** Whether a file in a folder is worth a look. Files that a person chose individually are always taken. */
export const isMedia = (file: File): boolean => /^(video|audio)\//.test(file.type) || ENDINGS.test(file.name);

/** The files that were dropped, including those in folders, with handles where the browser provides them. */
export async function droppedFiles(data: DataTransfer): Promise<Dropped[]> {
  // All are asked before the first is awaited: afterwards the list is empty.
  const items = [...data.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry());
  const files = items.map((item) => item.getAsFile());
  const handles = items.map((item) => item.getAsFileSystemHandle?.().catch(() => null) ?? null);
  const found: Dropped[] = [];
  for (const [index, entry] of entries.entries()) {
    const handle = await handles[index];
    if (handle?.kind === "directory") found.push(...(await filesBelow(handle as FileSystemDirectoryHandle)));
    else if (entry?.isDirectory) found.push(...(await filesInEntry(entry as FileSystemDirectoryEntry)));
    else if (files[index]) {
      found.push(handle ? { file: files[index], handle: handle as FileHandle } : { file: files[index] });
    }
  }
  return found;
}

async function filesBelow(folder: FileSystemDirectoryHandle): Promise<Dropped[]> {
  const found: Dropped[] = [];
  for await (const handle of folder.values()) {
    if (handle.kind === "directory") found.push(...(await filesBelow(handle as FileSystemDirectoryHandle)));
    else {
      const file = await (handle as FileHandle).getFile();
      if (isMedia(file)) found.push({ file, handle: handle as FileHandle });
    }
  }
  return found;
}

async function filesInEntry(folder: FileSystemDirectoryEntry): Promise<Dropped[]> {
  const reader = folder.createReader();
  const found: Dropped[] = [];
  // A reader returns one part of the folder at a time, and nothing once it has returned everything.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return found;
    for (const entry of part) {
      if (entry.isDirectory) found.push(...(await filesInEntry(entry as FileSystemDirectoryEntry)));
      else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        if (isMedia(file)) found.push({ file });
      }
    }
  }
}

/** Let the person choose files, with handles where the browser provides them; null if `input` is needed instead. */
export async function pickedFiles(): Promise<Dropped[] | null> {
  if (!window.showOpenFilePicker) return null;
  try {
    const handles = await window.showOpenFilePicker({ multiple: true });
    return await Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), handle })));
  } catch (error) {
    return (error as DOMException).name === "AbortError" ? [] : null;
  }
}
