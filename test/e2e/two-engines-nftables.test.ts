/** two-engines.test.ts once more: two engines with nftables beside dockerd, which uses iptables. */
import "../with-nftables.ts";
import "./two-engines.test.ts";
