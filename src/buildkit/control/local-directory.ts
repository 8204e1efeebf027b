/** Directories of a client that runs on this machine: it may say where they are, and then need not send its files. */
import { placeOfProcess } from "../../platform/process-place.ts";
import type { LocalDirectory } from "../context/gather.ts";
import { Directories } from "../gen/hull/build/v1/directories_pb.ts";
import type { Session } from "./session.ts";

/** Undefined: the client does not say, or is of another machine or another namespace of processes. */
export async function localDirectory(
  session: Session,
  name: string,
  signal: AbortSignal,
): Promise<LocalDirectory | undefined> {
  if (!session.supports(Directories.method.open)) return undefined;
  const { pid, descriptor, device, inode, bootId, pidNamespace } = await session.call(
    Directories.method.open,
    { name },
    signal,
  );
  const here = placeOfProcess();
  if (bootId !== here.bootId || pidNamespace !== here.pidNamespace) return undefined;
  return { pid, descriptor, device, inode };
}
