/** For tests: repositories that are made by git's own commands, and a server that gives them out over HTTP as git's own program answers it. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";

const env = {
  PATH: process.env.PATH ?? "",
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example",
  GIT_AUTHOR_DATE: "1500000000 +0000",
  GIT_COMMITTER_DATE: "1500000000 +0000",
};

export class TestRepository {
  constructor(readonly directory: string) {
    mkdirSync(directory, { recursive: true });
    this.git("-c", "init.defaultBranch=main", "init", "--quiet");
  }

  git(...args: string[]): string {
    return execFileSync("git", ["-c", "protocol.file.allow=always", ...args], {
      cwd: this.directory,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    })
      .toString()
      .trim();
  }

  /** Answers the commit. */
  commit(files: Readonly<Record<string, string>>): string {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.directory, path)), { recursive: true });
      writeFileSync(join(this.directory, path), text);
    }
    this.git("add", "--all");
    this.git("commit", "--quiet", "--allow-empty", "--message", "change");
    return this.git("rev-parse", "HEAD");
  }
}

export interface GitServer extends Disposable {
  /** "http://127.0.0.1:1234": repositories are below it by their directories' names. */
  readonly url: string;
  /** "GET /a.git/info/refs?service=git-upload-pack" */
  readonly seen: string[];
}

/** `authorization`: what is asked for; "" for none. */
export async function serveGit(projectRoot: string, authorization = ""): Promise<GitServer> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (authorization !== "" && request.headers.authorization !== authorization)
      response.writeHead(401, { "WWW-Authenticate": "Basic" }).end();
    else answer(projectRoot, request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, seen, [Symbol.dispose]: close };
}

/** RFC 3875 */
function answer(projectRoot: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? "/", "http://server");
  const child = spawn("git", ["-c", "safe.directory=*", "http-backend"], {
    env: {
      ...env,
      GIT_PROJECT_ROOT: projectRoot,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      REQUEST_METHOD: request.method ?? "",
      PATH_INFO: decodeURIComponent(pathname).replace(/\.git\//, "/.git/"),
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: String(request.headers["content-encoding"] ?? ""),
      REMOTE_ADDR: "127.0.0.1",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  request.pipe(child.stdin);
  child.stdin.on("error", () => undefined);
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  child.on("close", () => {
    const whole = Buffer.concat(parts);
    const end = whole.indexOf("\r\n\r\n");
    const lines = whole.subarray(0, end).toString().split("\r\n");
    const headers = lines.map((line) => line.split(": ") as [string, string]);
    const status = Number(headers.find(([name]) => name === "Status")?.[1].slice(0, 3) ?? 200);
    response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== "Status")));
    response.end(whole.subarray(end + 4));
  });
}
