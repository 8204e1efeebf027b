/** Licences as SPDX 2.3 wants them: expressions of its own names, and references for whatever else packages say. Pure. */

/** Those that packages have most; any other name becomes a reference, which is right for names that SPDX has too. */
const known: ReadonlySet<string> = new Set(
  `0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-1.0-Perl Artistic-2.0 BSD-1-Clause
   BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-4-Clause BSL-1.0 BlueOak-1.0.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1
   CPL-1.0 EPL-1.0 EPL-2.0 EUPL-1.2 FTL GFDL-1.3-only GFDL-1.3-or-later GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later
   GPL-3.0-only GPL-3.0-or-later HPND ICU ISC LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later
   MIT MIT-0 MPL-1.0 MPL-1.1 MPL-2.0 NCSA OFL-1.1 OLDAP-2.8 OpenSSL PHP-3.01 PSF-2.0 Python-2.0 Ruby Unicode-DFS-2016 Unlicense Vim W3C
   WTFPL X11 ZPL-2.1 Zlib bzip2-1.0.6 curl libpng-2.0`.split(/\s+/),
);
const byLowerCase = new Map([...known].map((name) => [name.toLowerCase(), name]));

/** A name of the package's own, as SPDX lists it. */
export interface LicenseReference {
  readonly licenseId: string;
  readonly name: string;
  readonly extractedText: string;
}

/** "NOASSERTION" for "". */
export function licenseExpression(text: string, references: Map<string, LicenseReference>): string {
  const stated = text.trim();
  if (stated === "") return "NOASSERTION";
  const own = new Map<string, LicenseReference>();
  const written = expression(stated, own);
  if (written === undefined) return referenceFor(stated, references);
  for (const [id, reference] of own) references.set(id, reference);
  return written;
}

/** Undefined when it is none. */
function expression(text: string, references: Map<string, LicenseReference>): string | undefined {
  const tokens = text.match(/[()]|[^\s()]+/g) ?? [];
  const written: string[] = [];
  let [depth, wantsName] = [0, true];
  for (const token of tokens) {
    if (token === "(" && wantsName) depth++;
    else if (token === ")" && !wantsName && depth > 0) depth--;
    else if (/^(?:AND|OR)$/i.test(token) && !wantsName) wantsName = true;
    else if (/^[A-Za-z0-9.+-]+$/.test(token) && wantsName) {
      wantsName = false;
      written.push(byLowerCase.get(token.toLowerCase()) ?? referenceFor(token, references));
      continue;
    } else return undefined;
    written.push(token.toUpperCase());
  }
  if (depth !== 0 || wantsName) return undefined;
  return written.join(" ").replace(/\( /g, "(").replace(/ \)/g, ")");
}

function referenceFor(text: string, references: Map<string, LicenseReference>): string {
  const licenseId = `LicenseRef-${text.replace(/[^A-Za-z0-9.-]+/g, "-").slice(0, 100)}`;
  if (!references.has(licenseId)) references.set(licenseId, { licenseId, name: text, extractedText: text });
  return licenseId;
}
