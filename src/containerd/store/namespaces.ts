/** Client namespaces and their labels. One comes to be by the first thing made in it, as with containerd. */
import { HullError } from "../../platform/errors.ts";
import { parseIdentifier } from "../identifier.ts";
import type { Database } from "./database.ts";
import { asJson, Records } from "./records.ts";

export interface NamespaceRecord {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export type NamespaceChange = "create" | "update" | "delete";

export class NamespaceRecords {
  readonly #records: Records<NamespaceRecord>;

  constructor(
    db: Database,
    private readonly onChange: (change: NamespaceChange, namespace: NamespaceRecord) => void,
  ) {
    this.#records = new Records<NamespaceRecord>({ db, table: "namespace", ...asJson<NamespaceRecord>() });
  }

  get(name: string): NamespaceRecord {
    return this.#records.get("", name);
  }

  list(): NamespaceRecord[] {
    return this.#records.list("");
  }

  create(name: string, labels: Readonly<Record<string, string>>): NamespaceRecord {
    const namespace = { name: parseIdentifier(name, "namespace"), labels };
    this.#records.create("", name, namespace);
    this.onChange("create", namespace);
    return namespace;
  }

  ensure(name: string): void {
    if (this.#records.find("", name) === undefined) this.create(name, {});
  }

  label(name: string, labels: Readonly<Record<string, string>>): NamespaceRecord {
    const namespace = { ...this.get(name), labels };
    this.#records.put("", name, namespace);
    this.onChange("update", namespace);
    return namespace;
  }

  /** Throws `failed-precondition` naming what is still in it. */
  delete(name: string, contents: readonly string[]): void {
    const namespace = this.get(name);
    if (contents.length > 0) {
      throw new HullError(
        "failed-precondition",
        `namespace "${name}" must be empty, but it still has ${contents.join(", ")}`,
      );
    }
    this.#records.delete("", name);
    this.onChange("delete", namespace);
  }
}
