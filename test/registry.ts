/** Debian's docker-registry for tests, on loopback in a directory of its own. Disposing of it ends it and leaves nothing. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type Ran, run, until } from "./engine.ts";

declare const Bun: { password: { hashSync(text: string, options: object): string } };

export interface RegistryOptions {
  /** One user who may do everything; nobody else may. */
  readonly user?: { readonly name: string; readonly password: string };
  /** With a certificate of its own authority. */
  readonly tls?: boolean;
  /** An address of this machine; loopback is insecure by itself. */
  readonly address?: string;
}

const program = ["docker-registry", "/usr/bin/docker-registry"].find(
  (path) => spawnSync(path, ["--version"]).status === 0,
);

/** Why a test of it cannot run here; "" when it can. */
export const noRegistry = program === undefined ? "docker-registry is not installed (scripts/setup test)" : "";

export class TestRegistry implements AsyncDisposable {
  readonly directory = mkdtempSync("/var/tmp/hull-registry-");
  #process: ChildProcess | undefined;

  private constructor(
    private readonly options: RegistryOptions,
    private readonly port: number,
  ) {}

  static async start(options: RegistryOptions = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(options, await freePort());
    registry.#configure();
    await registry.open();
    return registry;
  }

  get host(): string {
    return `${this.#address}:${this.port}`;
  }

  get #address(): string {
    return this.options.address ?? "127.0.0.1";
  }

  get url(): string {
    return `${this.options.tls ? "https" : "http"}://${this.host}`;
  }

  /** File of a blob's bytes. */
  blobPath(digest: string): string {
    const hex = digest.replace("sha256:", "");
    return join(this.directory, "data/docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  }

  async open(): Promise<void> {
    const fd = openSync(join(this.directory, "log"), "a");
    this.#process = spawn(program!, ["serve", join(this.directory, "config.yml")], { stdio: ["ignore", fd, fd] });
    closeSync(fd);
    await until(
      () => `docker-registry answers: ${readFileSync(join(this.directory, "log"), "utf8").slice(-1000)}`,
      async () => (await run(["curl", "-sk", "-o", "/dev/null", `${this.url}/v2/`], {})).code === 0,
    );
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once("exit", resolve) ?? resolve(undefined));
    this.#process?.kill("SIGKILL");
    await ended;
    this.#process = undefined;
  }

  /** skopeo with this registry's ways. `name`: repository and tag, or digest. */
  inspect(name: string): Promise<Ran> {
    return run(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${this.host}/${name}`], {});
  }

  /** How often a path was asked for, by its log. */
  requests(method: string, path: string): number {
    const lines = readFileSync(join(this.directory, "log"), "utf8").split("\n");
    return lines.filter((line) => line.includes(`"${method} ${path}`)).length;
  }

  #configure(): void {
    const { user, tls } = this.options;
    mkdirSync(join(this.directory, "data"));
    const lines = [
      "version: 0.1",
      "storage:",
      `  filesystem: { rootdirectory: ${this.directory}/data }`,
      "  delete: { enabled: true }",
    ];
    lines.push("http:", `  addr: ${this.host}`);
    if (tls) {
      const key = join(this.directory, "key.pem");
      const certificate = join(this.directory, "cert.pem");
      const subject = ["-subj", "/CN=registry", "-addext", `subjectAltName=IP:${this.#address}`];
      const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate];
      const made = spawnSync("openssl", [...args, ...subject]);
      if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
      lines.push(`  tls: { certificate: ${certificate}, key: ${key} }`);
    }
    if (user) {
      const hash = Bun.password.hashSync(user.password, { algorithm: "bcrypt", cost: 4 });
      writeFileSync(join(this.directory, "users"), `${user.name}:${hash}\n`);
      lines.push("auth:", `  htpasswd: { realm: test, path: ${this.directory}/users }`);
    }
    writeFileSync(join(this.directory, "config.yml"), `${lines.join("\n")}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
