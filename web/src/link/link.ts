import { address } from "../api/address";
import { Problem } from "../api/problem";

/** Where the MP3 of a signed link is. The token comes out of the address bar, so it may be anything. */
export const mp3Address = (token: string): string => address(`v1/downloads/${encodeURIComponent(token)}`);

const GONE = [403, 404, 410];

/** Whether an error means that a link will never work again. All others may be over in a moment. */
export const isGone = (error: unknown): boolean => error instanceof Problem && GONE.includes(error.status);
