/** From a query to our own answer, or to the decision that it goes upstream. Pure but for the shuffle. */
import * as packet from "dns-packet";
import { formatAddress, parseAddress } from "../ipam/prefix.ts";
import type { Zone } from "./zone.ts";

export type Decision =
  | { readonly kind: "answer"; readonly bytes: Buffer }
  | { readonly kind: "forward"; readonly query: packet.DecodedPacket }
  | { readonly kind: "drop" };

const TTL_SECONDS = 600;
const MIN_UDP_BYTES = 512;
const RCODE = { formerr: 1, servfail: 2, notimp: 4, refused: 5 } as const;
export type Rcode = keyof typeof RCODE;

const FLAG_TRUNCATED = 1 << 9;
const FLAG_RECURSION_AVAILABLE = 1 << 7;
const FLAG_RECURSION_DESIRED = 1 << 8;

export interface Asked {
  readonly bytes: Buffer;
  readonly isTcp: boolean;
  readonly containerId: string;
}

export function decide(asked: Asked, zone: Zone): Decision {
  const query = decodeQuery(asked.bytes);
  if (!query) return { kind: "drop" };
  const question = query.questions?.[0];
  if (!question || (query.questions?.length ?? 0) !== 1) return { kind: "answer", bytes: failure(query, "formerr") };
  const answers = ownAnswers(question, asked.containerId, zone);
  if (!answers) return { kind: "forward", query };
  const reply = encode(query, answers);
  return { kind: "answer", bytes: fitted(reply, query, asked) };
}

function decodeQuery(bytes: Buffer): packet.DecodedPacket | undefined {
  try {
    const query = packet.decode(bytes);
    return query.type === "query" ? query : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined: not ours. An empty list: the name is ours, it has nothing of that type. */
function ownAnswers(question: packet.Question, containerId: string, zone: Zone): packet.Answer[] | undefined {
  const name = question.name.replace(/\.$/, "");
  if (question.type === "PTR") {
    const address = addressOfReverse(name);
    const found = address === undefined ? undefined : zone.reverse(containerId, address);
    return found === undefined ? undefined : [{ type: "PTR", name: question.name, ttl: TTL_SECONDS, data: found }];
  }
  const found = zone.find(containerId, name);
  if (!found) return undefined;
  const type = question.type;
  if (type !== "A" && type !== "AAAA") return [];
  const addresses = shuffled(type === "A" ? found.ipv4 : found.ipv6);
  return addresses.map((data) => ({ type, name: question.name, ttl: TTL_SECONDS, data }));
}

/** "2.0.18.172.in-addr.arpa" and the nibbles of ip6.arpa. */
export function addressOfReverse(name: string): string | undefined {
  const lower = name.toLowerCase();
  const labels = lower.split(".");
  try {
    if (lower.endsWith(".in-addr.arpa") && labels.length === 6) {
      return formatAddress(parseAddress(labels.slice(0, 4).reverse().join(".")));
    }
    if (lower.endsWith(".ip6.arpa") && labels.length === 34) {
      const hex = labels.slice(0, 32).reverse().join("");
      return formatAddress(parseAddress(hex.replace(/(....)(?=.)/g, "$1:")));
    }
  } catch {
    return undefined;
  }
  return undefined;
}

function shuffled(list: readonly string[]): string[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

function encode(query: packet.DecodedPacket, answers: packet.Answer[], rcode = 0): Buffer {
  const desired = (query.flags ?? 0) & FLAG_RECURSION_DESIRED;
  return packet.encode({
    type: "response",
    id: query.id ?? 0,
    flags: desired | FLAG_RECURSION_AVAILABLE | rcode,
    questions: query.questions ?? [],
    answers,
  });
}

export const failure = (query: packet.DecodedPacket, rcode: Rcode): Buffer => encode(query, [], RCODE[rcode]);

/** What fits the asker's datagram; else an empty answer with the truncated bit, so that it asks by TCP. */
function fitted(reply: Buffer, query: packet.DecodedPacket, asked: Asked): Buffer {
  if (asked.isTcp || reply.length <= udpLimit(query)) return reply;
  const empty = encode(query, []);
  empty.writeUInt16BE(empty.readUInt16BE(2) | FLAG_TRUNCATED, 2);
  return empty;
}

/** The size of datagram that the asker's EDNS record allows. */
function udpLimit(query: packet.DecodedPacket): number {
  const edns = query.additionals?.find((record) => record.type === "OPT") as packet.OptAnswer | undefined;
  return Math.max(MIN_UDP_BYTES, edns?.udpPayloadSize ?? MIN_UDP_BYTES);
}

/** The response code of a raw answer. */
export const rcodeOf = (answer: Buffer): number => (answer.length >= 4 ? answer.readUInt16BE(2) & 0x0f : -1);
export const isTruncated = (answer: Buffer): boolean => (answer.readUInt16BE(2) & FLAG_TRUNCATED) !== 0;
export const isServerFailure = (code: number): boolean => code === RCODE.servfail || code === RCODE.refused;
