/** The conversation with `keel ports` (docs/protocols.md): binds published addresses and relays what NAT cannot serve. */
import { FrameConnection } from "../../keel/shim-connection.ts";
import { decodeRecords, encodeRecords, type WireRecord } from "../../keel/wire.ts";
import { HullError } from "../../platform/errors.ts";

const BIND = 48;
const UNBIND = 49;
const LIST = 50;
const QUIT = 51;
const RESULT_RECORD = 0x110;
const PORT_RECORD = 0x118;
const EADDRINUSE = 98;
const ENOENT = 2;
const EBUSY = 16;
const DEADLINE_MS = 5000;

export interface BoundPort {
  readonly portId: bigint;
  readonly proto: "tcp" | "udp";
  readonly family: 4 | 6;
  readonly listenAddress: string;
  /** 0 in a request: any free one. */
  readonly listenPort: number;
  readonly targetAddress: string;
  readonly targetPort: number;
}

const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

const encode = (port: BoundPort): Buffer =>
  encodeRecords([
    {
      code: PORT_RECORD,
      ints: [
        port.portId,
        port.proto === "tcp" ? IPPROTO_TCP : IPPROTO_UDP,
        port.family === 4 ? AF_INET : AF_INET6,
        port.listenPort,
        port.targetPort,
        0,
      ],
      blobs: [port.listenAddress, port.targetAddress],
    },
  ]);

const decode = (record: WireRecord): BoundPort => ({
  portId: record.ints[0] ?? 0n,
  proto: record.ints[1] === BigInt(IPPROTO_TCP) ? "tcp" : "udp",
  family: record.ints[2] === BigInt(AF_INET) ? 4 : 6,
  listenPort: Number(record.ints[3] ?? 0n),
  targetPort: Number(record.ints[4] ?? 0n),
  listenAddress: record.blobs[0]?.toString() ?? "",
  targetAddress: record.blobs[1]?.toString() ?? "",
});

/** Lifecycle: `open` (throws unavailable) -> calls -> `close`; `onClose` is called once when the other side ends. */
export class PortsClient {
  private constructor(private readonly connection: FrameConnection) {}

  static async open(path: string, onClose: () => void): Promise<PortsClient> {
    return new PortsClient(await FrameConnection.open(path, { onClose }));
  }

  /** The port it listens on. Throws conflict when the address is in use. */
  async bind(port: BoundPort): Promise<number> {
    const { errno, outputs } = await this.#ask(BIND, encode(port));
    if (errno === EADDRINUSE)
      throw new HullError("conflict", "address already in use", { facts: { errno: "EADDRINUSE" } });
    if (errno !== 0) throw failure(`bind ${port.listenAddress}:${port.listenPort}/${port.proto}`, errno);
    return port.listenPort !== 0 ? port.listenPort : chosenPort(outputs);
  }

  /** A port that is not bound is fine. */
  async unbind(portId: bigint): Promise<void> {
    const payload = encodeRecords([{ code: PORT_RECORD, ints: [portId, 0, 0, 0, 0, 0], blobs: ["", ""] }]);
    const { errno } = await this.#ask(UNBIND, payload);
    if (errno !== 0 && errno !== ENOENT) throw failure("unbind a port", errno);
  }

  async list(): Promise<BoundPort[]> {
    const { errno, rest } = await this.#ask(LIST, Buffer.alloc(0));
    if (errno !== 0) throw failure("list ports", errno);
    return rest.filter((record) => record.code === PORT_RECORD).map(decode);
  }

  /** False: something is still bound. */
  async quit(): Promise<boolean> {
    const { errno } = await this.#ask(QUIT, Buffer.alloc(0));
    if (errno !== 0 && errno !== EBUSY) throw failure("end keel ports", errno);
    return errno === 0;
  }

  close(): void {
    this.connection.close();
  }

  async #ask(type: number, payload: Buffer): Promise<Answer> {
    const frame = await this.connection.request(type, payload, { signal: AbortSignal.timeout(DEADLINE_MS) });
    const [result, ...rest] = decodeRecords(frame.payload);
    if (result?.code !== RESULT_RECORD) throw new HullError("internal", "keel ports answered without a result");
    return { errno: Number(result.ints[1] ?? 0n), outputs: result.blobs[1] ?? Buffer.alloc(0), rest };
  }
}

interface Answer {
  readonly errno: number;
  readonly outputs: Buffer;
  readonly rest: readonly WireRecord[];
}

/** Outputs: u32 index, u32 length, bytes. */
function chosenPort(outputs: Buffer): number {
  if (outputs.length >= 10) return outputs.readUInt16LE(8);
  throw new HullError("internal", "keel ports chose a port and did not say which");
}

const failure = (what: string, errno: number): HullError =>
  new HullError("internal", `${what}: errno ${errno}`, { facts: { errno } });
