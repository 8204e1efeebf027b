/** A name server that knows one name, "world.test", as 203.0.113.7: `dns-server.ts ADDRESS`. It says "ready" when it listens. */
import { createSocket } from "node:dgram";
import { type Answer, decode, encode } from "dns-packet";

const socket = createSocket("udp4");
socket.on("message", (bytes, from) => {
  const { id, questions = [] } = decode(bytes);
  const known = questions[0]?.name === "world.test" && questions[0].type === "A";
  const answers: Answer[] = known ? [{ type: "A", name: "world.test", ttl: 5, data: "203.0.113.7" }] : [];
  const flags = known ? 0 : 3;
  socket.send(encode({ type: "response", id: id ?? 0, flags, questions, answers }), from.port, from.address);
});
socket.bind(53, process.argv[2], () => process.stdout.write("ready\n"));
