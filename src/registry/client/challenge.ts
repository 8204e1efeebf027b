/** WWW-Authenticate (RFC 9110, section 11.6.1): what a registry wants to see. Pure. */
export interface Challenge {
  /** In lower case: "bearer", "basic". */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const pair = new RegExp(`^\\s*,?\\s*(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`);
const schemeForm = new RegExp(`^\\s*,?\\s*(${token})(?=\\s|,|$)`);

/** Every challenge of a header; what cannot be read ends it. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  for (let rest = header; rest.trim() !== ""; ) {
    const parameter = pair.exec(rest);
    const current = challenges.at(-1);
    if (parameter && current) {
      current.parameters[parameter[1]!.toLowerCase()] = parameter[2]?.replace(/\\(.)/g, "$1") ?? parameter[3] ?? "";
      rest = rest.slice(parameter[0].length);
      continue;
    }
    const scheme = schemeForm.exec(rest);
    if (!scheme) break;
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters: {} });
    rest = rest.slice(scheme[0].length);
  }
  return challenges;
}
