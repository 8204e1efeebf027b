/**
 * Container records as containerd's API has them, stored as their protobuf bytes. In memory they are without their spec, which is most
 * of them (10 KB) and is needed only at a start and an exec: `get` reads it.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { HullError } from "../../platform/errors.ts";
import { type Container, ContainerSchema } from "../gen/containerd/services/containers/v1/containers_pb.ts";
import { parseIdentifier } from "../identifier.ts";
import type { Database } from "./database.ts";
import { Records } from "./records.ts";

export type ContainerChange = "create" | "update" | "delete";

export type ContainerSummary = Omit<Container, "spec">;

export class ContainerRecords {
  readonly #records: Records<Container>;

  constructor(
    db: Database,
    private readonly onChange: (namespace: string, change: ContainerChange, container: ContainerSummary) => void,
  ) {
    this.#records = new Records<Container>({
      db,
      table: "container",
      encode: (container) => toBinary(ContainerSchema, container),
      decode: (stored) => fromBinary(ContainerSchema, stored as Uint8Array),
      keep: ({ spec: _, ...summary }) => summary,
    });
  }

  find(namespace: string, id: string): ContainerSummary | undefined {
    return this.#records.find(namespace, id);
  }

  /** With its spec. Throws `not-found`. */
  get(namespace: string, id: string): Container {
    return this.#records.whole(namespace, id);
  }

  list(namespace: string): ContainerSummary[] {
    return this.#records.list(namespace);
  }

  namespaces(): string[] {
    return this.#records.namespaces();
  }

  create(namespace: string, draft: Container): Container {
    parseIdentifier(draft.id, "container id");
    if (draft.runtime === undefined || draft.runtime.name === "") {
      throw new HullError("invalid-argument", `container ${draft.id}: runtime.name must be set`);
    }
    if (draft.spec === undefined) throw new HullError("invalid-argument", `container ${draft.id}: spec must be set`);
    const now = timestampNow();
    const container = create(ContainerSchema, { ...draft, createdAt: now, updatedAt: now });
    this.#records.create(namespace, draft.id, container);
    this.onChange(namespace, "create", container);
    return container;
  }

  update(namespace: string, id: string, change: Partial<Omit<Container, "$typeName">>): Container {
    const before = this.get(namespace, id);
    const container: Container = { ...before, ...change, id, updatedAt: timestampNow() };
    this.#records.put(namespace, id, container);
    this.onChange(namespace, "update", container);
    return container;
  }

  delete(namespace: string, id: string): void {
    const container = this.get(namespace, id);
    this.#records.delete(namespace, id);
    this.onChange(namespace, "delete", container);
  }
}
