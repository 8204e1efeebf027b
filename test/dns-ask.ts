/** What a name server answers, as JSON: `dns-ask.ts SERVER NAME...`, an address for a NAME asks for its names. Errors are their codes. */
import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";

const [server = "", ...names] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 3000, tries: 1 });
resolver.setServers([server]);
const ask = (name: string): Promise<string[]> => (isIP(name) ? resolver.reverse(name) : resolver.resolve4(name));
const answers = await Promise.all(
  names.map((name) => ask(name).catch((error: NodeJS.ErrnoException) => [error.code ?? String(error)])),
);
process.stdout.write(JSON.stringify(answers));
