import assert from "node:assert/strict";
import { test } from "node:test";
import { addressBytes, parseAddress } from "../ipam/prefix.ts";
import { arpAnnouncement, neighbourAdvertisement } from "./announcement.ts";

const mac = Buffer.from("02aabbccddee", "hex");
const bytes = (address: string) => addressBytes(parseAddress(address));

test("an ARP announcement asks everybody for the own address", () => {
  const hex = arpAnnouncement(mac, bytes("10.66.0.9")).toString("hex");
  assert.equal(
    hex,
    `ffffffffffff${"02aabbccddee"}0806${"0001080006040001"}02aabbccddee0a420009${"000000000000"}0a420009`,
  );
});

test("a neighbour advertisement goes to all nodes, overrides what they remember, and its checksum holds", () => {
  const frame = neighbourAdvertisement(mac, bytes("2001:db8::9"));
  const hex = frame.toString("hex");
  assert.equal(hex.slice(0, 28), "33330000000102aabbccddee86dd");
  const ip = frame.subarray(14);
  assert.equal(ip.subarray(0, 8).toString("hex"), "6000000000203aff");
  assert.deepEqual(ip.subarray(8, 24), bytes("2001:db8::9"));
  assert.deepEqual(ip.subarray(24, 40), bytes("ff02::1"));
  const message = ip.subarray(40);
  assert.equal(message.length, ip.readUInt16BE(4));
  assert.equal(message[0], 136);
  assert.equal(message[4], 0x20);
  assert.equal(message.subarray(24).toString("hex"), "020102aabbccddee");
  const summed = Buffer.concat([ip.subarray(8, 40), Buffer.from([0, 0, 0, message.length, 0, 0, 0, 58]), message]);
  let sum = 0;
  for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  assert.equal(sum, 0xffff);
});
