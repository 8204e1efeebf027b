/** Imported before a test file: its engines use nftables. */
process.env.HULL_TEST_FIREWALL = "nftables";
