import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GrpcTransport } from "../../platform/grpc/transport.ts";
import type { Log } from "../../platform/log.ts";
import { Control } from "../gen/moby/buildkit/v1/control_pb.ts";
import { GrpcConnections } from "./grpc-connections.ts";

const log = { warn: (message: string) => assert.fail(message) } as unknown as Log;

test("a connection whose first bytes were read to see what it is is answered", async () => {
  const directory = mkdtempSync(join(tmpdir(), "grpc-"));
  const path = join(directory, "s");
  const connections = new GrpcConnections(log);
  connections.routes.service(Control, {
    info: async () => ({ buildkitVersion: { package: "p", version: "v", revision: "", dockerfileVersion: "" } }),
  });
  const listener = createServer((socket) => {
    socket.once("data", (head: Buffer) => {
      socket.pause();
      connections.accept(socket, head);
    });
  });
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  try {
    await using transport = new GrpcTransport({ dial: () => connect(path), peer: "the test", headers: {} });
    const { message } = await transport.unary(Control.method.info, undefined, 5_000, undefined, {});
    assert.equal(message.buildkitVersion?.version, "v");
  } finally {
    listener.close();
    rmSync(directory, { recursive: true });
  }
});
