/** Paragraphs of "Name: value" lines, whose further lines begin with a blank (deb822, RFC 822 without its addresses). Pure. */
export type Stanza = ReadonlyMap<string, string>;

/** Names in lower case; the first of a name counts. */
export function parseStanzas(text: string): readonly Stanza[] {
  return text
    .split(/\r?\n[ \t]*\r?\n/)
    .map(parseStanza)
    .filter((stanza) => stanza.size > 0);
}

function parseStanza(paragraph: string): Stanza {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of paragraph.split(/\r?\n/)) {
    if (/^[ \t]/.test(line)) {
      if (last !== "") fields.set(last, `${fields.get(last)}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0 || line.startsWith("#")) continue;
    const name = line.slice(0, colon).toLowerCase();
    last = fields.has(name) ? "" : name;
    if (last !== "") fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}
