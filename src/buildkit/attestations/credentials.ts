/** Texts without the user and password that a URL in them may have. Pure. */
export const withoutCredentials = (text: string): string => text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/?#\s@]*@/gi, "$1");
