/**
 * A small virtual machine with Debian's kernel and nothing but the build in it (test/vm/make-image), for what this machine's own kernel
 * or cgroup hierarchies can't show. With hardware virtualization where the kernel has it, emulated otherwise.
 *
 * Lifecycle: `boot` -> `sh`, one command at a time -> disposal, which ends it and removes its files.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type Ran, until } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

const QEMU = "qemu-system-x86_64";
const BOOT_MS = 300_000;
const COMMAND_MS = 300_000;
const DISK_BYTES = 2 ** 31;
const NOT_HERE = 77;

/** Why no machine can be booted here; undefined when one can. */
export function reasonForNoMachine(): string | undefined {
  const found = spawnSync(QEMU, ["--version"]).status === 0;
  return found ? undefined : `there is no ${QEMU} here (scripts/setup test installs it)`;
}

/** The kernel's own modules: others (pvm, for one) don't run an unchanged guest. */
const hasHardwareHelp = (): boolean =>
  existsSync("/dev/kvm") && ["kvm_intel", "kvm_amd"].some((module) => existsSync(`/sys/module/${module}`));

export class VirtualMachine implements AsyncDisposable {
  #answer: ((line: string) => void) | undefined;
  #received = "";

  private constructor(
    private readonly directory: string,
    private readonly process: ChildProcess,
    private readonly agent: Socket,
  ) {
    agent.on("data", (chunk: Buffer) => this.#take(chunk.toString("latin1")));
    agent.on("error", () => undefined);
  }

  /** Resolves when it takes commands. A string says why there can't be one here. */
  static async boot(): Promise<VirtualMachine | string> {
    const directory = mkdtempSync("/var/tmp/hull-vm-");
    try {
      const made = spawnSync(join(root, "test/vm/make-image"), [directory], { encoding: "utf8" });
      if (made.status === NOT_HERE) {
        rmSync(directory, { recursive: true, force: true });
        return made.stdout.trim();
      }
      if (made.status !== 0) throw new Error(`make-image ended with ${made.status}:\n${made.stdout}${made.stderr}`);
      return await VirtualMachine.#start(directory);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  static async #start(directory: string): Promise<VirtualMachine> {
    const [disk, socket] = [join(directory, "disk"), join(directory, "agent.sock")];
    writeFileSync(disk, "");
    truncateSync(disk, DISK_BYTES);
    const child = spawn(QEMU, argumentsOf(directory, disk, socket), { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    await until("qemu listens", () => {
      if (child.exitCode !== null) throw new Error(`${QEMU} ended with ${child.exitCode}: ${errors}`);
      return existsSync(socket);
    });
    const machine = new VirtualMachine(directory, child, connect(socket));
    try {
      await machine.#run("true", BOOT_MS);
      return machine;
    } catch (error) {
      const console = readFileSync(join(directory, "console"), "utf8");
      await machine[Symbol.asyncDispose]();
      throw new Error(`the test machine does not boot: ${console.slice(-1500)}`, { cause: error });
    }
  }

  /** Runs a shell script in it; never throws for its exit code. */
  sh(script: string): Promise<Ran> {
    return this.#run(script, COMMAND_MS);
  }

  /** The trimmed stdout of a script that must succeed. */
  async ok(script: string): Promise<string> {
    const { stdout, stderr, code } = await this.sh(script);
    if (code !== 0) throw new Error(`${script}\nended with ${code}:\n${stdout}${stderr}`);
    return stdout.trim();
  }

  async #run(script: string, deadlineMs: number): Promise<Ran> {
    if (this.#answer) throw new Error("a test machine runs one command at a time");
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${script}`)), deadlineMs);
    this.#answer = resolve;
    this.agent.write(`${Buffer.from(script).toString("base64")}\n`);
    try {
      const [code = "", stdout = "", stderr = ""] = (await promise).split(" ");
      return { code: Number(code), stdout: decode(stdout), stderr: decode(stderr) };
    } finally {
      clearTimeout(timer);
      this.#answer = undefined;
    }
  }

  #take(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf("\n");
    if (end < 0) return;
    const line = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + 1);
    this.#answer?.(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.destroy();
    const ended = new Promise<void>((resolve) => this.process.once("exit", () => resolve()));
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const decode = (field: string): string => Buffer.from(field.slice(1), "base64").toString();

function argumentsOf(directory: string, disk: string, socket: string): string[] {
  const accelerator = hasHardwareHelp() ? ["-accel", "kvm"] : ["-accel", "tcg,thread=multi,tb-size=512"];
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...[...accelerator, "-cpu", "max", "-smp", "2", "-m", "2048"],
    ...["-kernel", join(directory, "vmlinuz"), "-initrd", join(directory, "initrd")],
    ...["-append", "console=ttyS0 quiet panic=-1", "-serial", `file:${join(directory, "console")}`],
    ...["-drive", `file=${disk},if=virtio,format=raw,cache=unsafe`, "-device", "virtio-serial"],
    ...["-chardev", `socket,id=agent,path=${socket},server=on,wait=off`],
    ...["-device", "virtserialport,chardev=agent,name=agent"],
  ];
}
