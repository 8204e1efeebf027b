/** healing.test.ts once more, with nftables. */
import "../with-nftables.ts";
import "./healing.test.ts";
