import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KeelServe } from "../../keel/serve.ts";
import { Reserve } from "../../platform/reserve.ts";
import { openDatabase } from "../store/database.ts";
import { contentStoreSuite } from "./content-suite.ts";
import { LocalContent } from "./local-content.ts";

contentStoreSuite("local", async () => {
  const directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-content-"));
  const kernel = await KeelServe.open();
  const open = () => {
    const db = openDatabase({
      path: join(directory, "m.db"),
      synchronous: "FULL",
      schemaVersion: 1,
      reserve: new Reserve(join(directory, "reserve")),
    });
    return new LocalContent({ root: directory, db, kernel });
  };
  return {
    store: open(),
    reopen: open,
    blobDirectory: join(directory, "blobs/sha256"),
    ingestDirectory: join(directory, "ingest"),
    async [Symbol.asyncDispose]() {
      await kernel[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});
