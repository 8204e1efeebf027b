/** Refusals of what a client asked for. */
import { HullError } from "../../../platform/errors.ts";

/** 400: the request itself is wrong. */
export const invalid = (message: string): HullError => new HullError("invalid-argument", message);
/** 409: the state does not allow it. */
export const conflict = (message: string): HullError => new HullError("conflict", message);
