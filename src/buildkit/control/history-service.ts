/** The history of builds as BuildKit's clients ask for it. */
import { fromBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Outgoing } from "../files/transfer/outgoing.ts";
import {
  type BuildHistoryEvent,
  BuildHistoryEventType,
  type BuildHistoryRequest,
  type Control,
  type StatusResponse,
  StatusResponseSchema,
} from "../gen/moby/buildkit/v1/control_pb.ts";
import type { BuildHistory } from "../history/history.ts";
import { parseHistoryFilters } from "../history/history-filter.ts";

export function historyService(
  history: BuildHistory,
): Pick<ServiceImpl<typeof Control>, "listenBuildHistory" | "updateBuildHistory"> {
  return {
    listenBuildHistory: (request, context) => listen(history, request, context),
    updateBuildHistory: async ({ Ref, Delete, Pinned, Finalize }) => {
      await history.settled(Ref);
      if (Delete) await history.remove(Ref);
      else if (!Finalize) history.pin(Ref, Pinned);
      return {};
    },
  };
}

async function* listen(
  history: BuildHistory,
  request: BuildHistoryRequest,
  { signal }: HandlerContext,
): AsyncGenerator<BuildHistoryEvent> {
  const isWanted = wanted(request);
  await history.settled(request.Ref);
  const news = new Outgoing<BuildHistoryEvent>();
  using _watching = history.watch((event) => {
    if (isWanted(event)) news.push(event);
  });
  const known = history.list().filter(isWanted);
  yield* request.Limit > 0 ? known.slice(-request.Limit) : known;
  if (request.EarlyExit) return;
  const end = (): void => news.end();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  yield* news;
}

function wanted({ Ref, ActiveOnly, Filter }: BuildHistoryRequest): (event: BuildHistoryEvent) => boolean {
  const matches = parseHistoryFilters(Filter);
  return (event) => {
    const { type, record } = event;
    if (!record || (Ref !== "" && record.Ref !== Ref)) return false;
    if (ActiveOnly && type !== BuildHistoryEventType.STARTED) return false;
    return type === BuildHistoryEventType.DELETED || matches(record);
  };
}

/** What a build that has ended said, from its log. */
export async function* pastStatus(history: BuildHistory, ref: string): AsyncGenerator<StatusResponse> {
  await history.settled(ref);
  const { record } = history.get(ref);
  if (!record?.logs) return;
  let rest = Buffer.alloc(0);
  for await (const chunk of history.read(record.logs.digest)) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
      const end = 4 + rest.readUInt32LE(0);
      yield fromBinary(StatusResponseSchema, rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  }
}
