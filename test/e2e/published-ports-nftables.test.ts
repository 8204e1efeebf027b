/** published-ports.test.ts once more, with nftables. */
import "../with-nftables.ts";
import "./published-ports.test.ts";
