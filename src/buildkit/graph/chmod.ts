/** --chmod: octal, or the symbolic form of chmod(1). */
import { HullError } from "../../platform/errors.ts";

const symbolic = /^[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*$/;

/** Throws invalid-argument in BuildKit's words. */
export function checkChmod(text: string): void {
  const isOctal = /^[0-7]{1,11}$/.test(text);
  if (isOctal ? Number.parseInt(text, 8) <= 0o7777 : symbolic.test(text)) return;
  const message = /^\d/.test(text)
    ? `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`
    : `invalid chmod parameter: '${text}'. it should be an octal number up to 07777, or like u=rwX,go=rX`;
  throw new HullError("invalid-argument", message, { facts: { token: text } });
}
