/** For tests: return everything that comes. */
export async function collect<Each>(coming: AsyncIterable<Each>): Promise<Each[]> {
  const all: Each[] = [];
  for await (const each of coming) all.push(each);
  return all;
}
