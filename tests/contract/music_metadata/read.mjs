// Print what music-metadata reads from a file, as JSON.

import { parseFile } from "music-metadata";

const { common, format, native, quality } = await parseFile(process.argv[2], { includeChapters: true });
const { picture, ...tags } = common;
const told = {
  tags,
  picture: picture?.map(({ format, type, data }) => ({ format, type, data: Buffer.from(data).toString("base64") })),
  chapters: format.chapters,
  kinds: format.tagTypes,
  frames: native["ID3v2.3"]?.map(({ id }) => id),
  warnings: quality.warnings,
};
process.stdout.write(JSON.stringify(told));
