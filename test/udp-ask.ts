/** Sends "hello" to a UDP server, prints what comes back from the very address that was asked, within a second: `udp-ask.ts ADDRESS PORT`. */
import { createSocket } from "node:dgram";

const [address = "", port = ""] = process.argv.slice(2);
const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
const end = setTimeout(() => socket.close(), 1000);
socket.on("message", (bytes) => {
  process.stdout.write(bytes);
  clearTimeout(end);
  socket.close();
});
socket.on("error", () => socket.close());
// Connected: an answer from another address does not arrive.
socket.connect(Number(port), address, () => socket.send("hello"));
