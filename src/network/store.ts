/**
 * netd's memory and its files: networks and reservations below the data root (durable), sandboxes below the exec root (gone with a reboot,
 * as what they describe is). Reads are from memory.
 *
 * Lifecycle: `openStore` reads everything and refuses a schema it does not know; each `put` has been written when it returns (temporary
 * name and rename; fsync only below the data root). Removals are recorded on a full disk too.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { during, HullError } from "../platform/errors.ts";
import { isNoSpace, Reserve } from "../platform/reserve.ts";
import type { SandboxRecord, StoredNetwork, StoredReservation } from "./record.ts";

const SCHEMA = 1;

interface DurableFile {
  readonly schema: number;
  readonly networks: readonly StoredNetwork[];
  readonly reservations: readonly StoredReservation[];
}

export class NetworkStore {
  readonly #networks = new Map<string, StoredNetwork>();
  readonly #reservations = new Map<string, StoredReservation>();
  readonly #sandboxes = new Map<string, SandboxRecord>();
  readonly #durablePath: string;
  readonly #sandboxDirectory: string;
  readonly #reserve: Reserve;

  constructor(roots: { readonly dataRoot: string; readonly execRoot: string }) {
    this.#durablePath = join(roots.dataRoot, "network", "networks.json");
    this.#sandboxDirectory = join(roots.execRoot, "network", "containers");
    mkdirSync(dirname(this.#durablePath), { recursive: true, mode: 0o711 });
    mkdirSync(this.#sandboxDirectory, { recursive: true, mode: 0o711 });
    this.#reserve = new Reserve(join(roots.dataRoot, "network", "reserve"));
    this.#read();
  }

  networks(): StoredNetwork[] {
    return [...this.#networks.values()];
  }

  network(id: string): StoredNetwork | undefined {
    return this.#networks.get(id);
  }

  putNetwork(network: StoredNetwork): void {
    const put = () => this.#change(this.#networks, network.id, network);
    if (network.removing) this.#reserve.run(put);
    else put();
  }

  deleteNetwork(id: string): void {
    this.#reserve.run(() => this.#change(this.#networks, id, undefined));
  }

  reservations(): StoredReservation[] {
    return [...this.#reservations.values()];
  }

  reservation(containerId: string): StoredReservation | undefined {
    return this.#reservations.get(containerId);
  }

  /** An empty reservation is none. */
  putReservation(reservation: StoredReservation): void {
    const { containerId, endpoints } = reservation;
    const before = this.#reservations.get(containerId);
    if (JSON.stringify(before?.endpoints ?? []) === JSON.stringify(endpoints)) return;
    if (endpoints.length > 0) this.#change(this.#reservations, containerId, reservation);
    else this.#reserve.run(() => this.#change(this.#reservations, containerId, undefined));
  }

  sandboxes(): SandboxRecord[] {
    return [...this.#sandboxes.values()];
  }

  sandbox(containerId: string): SandboxRecord | undefined {
    return this.#sandboxes.get(containerId);
  }

  putSandbox(sandbox: SandboxRecord): void {
    writeReplacing(this.#sandboxPath(sandbox.containerId), JSON.stringify({ schema: SCHEMA, sandbox }), false);
    this.#sandboxes.set(sandbox.containerId, sandbox);
  }

  /** One on its way out stays in memory when the file can't be written: what the file says then is released at the next start too. */
  leaveSandbox(sandbox: SandboxRecord): void {
    try {
      this.putSandbox(sandbox);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      this.#sandboxes.set(sandbox.containerId, sandbox);
    }
  }

  deleteSandbox(containerId: string): void {
    rmSync(this.#sandboxPath(containerId), { force: true });
    this.#sandboxes.delete(containerId);
  }

  #sandboxPath(containerId: string): string {
    return join(this.#sandboxDirectory, `${containerId}.json`);
  }

  /** The file first, then the memory: a full disk leaves both as they were. */
  #change<T>(map: Map<string, T>, key: string, value: T | undefined): void {
    const before = map.get(key);
    if (value === undefined) map.delete(key);
    else map.set(key, value);
    try {
      const file: DurableFile = { schema: SCHEMA, networks: this.networks(), reservations: this.reservations() };
      writeReplacing(this.#durablePath, JSON.stringify(file), true);
    } catch (error) {
      if (before === undefined) map.delete(key);
      else map.set(key, before);
      throw error;
    }
  }

  #read(): void {
    const durable = readJson<DurableFile>(this.#durablePath);
    for (const network of durable?.networks ?? []) this.#networks.set(network.id, network);
    for (const reservation of durable?.reservations ?? []) this.#reservations.set(reservation.containerId, reservation);
    for (const name of readdirSync(this.#sandboxDirectory)) {
      if (!name.endsWith(".json")) {
        rmSync(join(this.#sandboxDirectory, name), { force: true });
        continue;
      }
      const file = readJson<{ schema: number; sandbox: SandboxRecord }>(join(this.#sandboxDirectory, name));
      if (file) this.#sandboxes.set(file.sandbox.containerId, file.sandbox);
    }
  }
}

function readJson<T extends { readonly schema: number }>(path: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw during(`read ${path}`, error);
  }
  let value: T;
  try {
    value = JSON.parse(text) as T;
  } catch (error) {
    throw during(`read ${path}`, error);
  }
  if (value.schema === SCHEMA) return value;
  throw new HullError(
    "failed-precondition",
    `${path} has schema ${value.schema}, this version knows ${SCHEMA}; left as it is`,
  );
}

function writeReplacing(path: string, text: string, durable: boolean): void {
  const temporary = `${path}.new`;
  try {
    const descriptor = openSync(temporary, "w", 0o600);
    try {
      writeFileSync(descriptor, text);
      if (durable) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw during(`write ${path}`, error);
  }
}
