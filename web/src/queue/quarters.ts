/** How many quarters are done, as a share: 0.25, 0.5 or 0.75. Null before the first, at the end, and if it is not known. */
export function quarterOf(share: number | null): number | null {
  if (share === null || share >= 1) return null;
  const quarters = Math.floor(share * 4);
  return quarters === 0 ? null : quarters / 4;
}
