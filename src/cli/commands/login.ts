import { HullError } from "../../platform/errors.ts";
import { DOCKER_HUB_INDEX } from "../../registry/client/credentials.ts";
import type { Command, Invocation } from "../command.ts";
import { findAuth, keyOf, storeAuth } from "../credentials/credentials.ts";
import { print, printLine, warn } from "../streams/output.ts";
import { askHidden, askLine } from "../streams/prompt.ts";
import { stdinIsTerminal } from "../streams/terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] [SERVER]",
  operands: [0, 1],
  flags: [
    { name: "password", short: "p", kind: "string", help: "Password or Personal Access Token (PAT)" },
    { name: "password-stdin", kind: "bool", help: "Take the Password or Personal Access Token (PAT) from stdin" },
    { name: "username", short: "u", kind: "string", help: "Username" },
  ],
  async run(invocation) {
    const { operands, session } = invocation;
    const server = operands[0] || DOCKER_HUB_INDEX;
    const { username, password } = await credentialsOf(invocation, server);
    const body = { username, password, serveraddress: keyOf(server) };
    const answer = await session.json<{ Status: string; IdentityToken?: string }>({
      method: "POST",
      path: "/auth",
      body,
    });
    const login = { username, password, identityToken: answer.IdentityToken ?? "" };
    const kept = storeAuth(session.options.configDir, server, login);
    if (kept !== undefined) {
      await warn(
        `\nWARNING! Your credentials are stored unencrypted in '${kept}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n`,
      );
    }
    await printLine(answer.Status);
    return 0;
  },
};

interface Typed {
  readonly username: string;
  readonly password: string;
}

async function credentialsOf({ flags, session }: Invocation, server: string): Promise<Typed> {
  const [username, password] = [flags.text("username") ?? "", flags.text("password") ?? ""];
  if (flags.bool("password-stdin")) {
    if (password !== "")
      throw new HullError(
        "invalid-argument",
        "conflicting options: cannot specify both --password and --password-stdin",
      );
    if (username === "")
      throw new HullError("invalid-argument", "the --password-stdin option requires --username to be set");
    return { username, password: (await wholeInput()).replace(/\r?\n$/, "") };
  }
  if (password !== "") await warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
  if (username !== "" && password !== "") return { username, password };
  const known = findAuth(session.options.configDir, server);
  if (username === "" && password === "" && known?.username && known.password) {
    await printLine("Authenticating with existing credentials...");
    return { username: known.username, password: known.password };
  }
  if (!stdinIsTerminal())
    throw new HullError("invalid-argument", "cannot perform an interactive login from a non-TTY device");
  const user = username || (await askLine("Username: "));
  if (user === "") throw new HullError("invalid-argument", "username is required");
  const secret = password || (await askHidden("Password: "));
  await print("\n");
  if (secret === "") throw new HullError("invalid-argument", "password is required");
  return { username: user, password: secret };
}

const MAX_INPUT_BYTES = 64 * 1024;

async function wholeInput(): Promise<string> {
  let text = "";
  for await (const bytes of process.stdin as AsyncIterable<Buffer>) {
    text += bytes.toString("utf8");
    if (text.length > MAX_INPUT_BYTES)
      throw new HullError("invalid-argument", "the password on stdin is longer than 64 KiB");
  }
  if (text === "") throw new HullError("invalid-argument", "password is empty");
  return text;
}
