/** network-options.test.ts once more, with nftables. */
import "../with-nftables.ts";
import "./network-options.test.ts";
