/*
 * serve's WATCH: netlink multicast groups as NETLINK events whose payload is the raw messages. An empty payload says that messages were
 * lost (the socket overran): the daemon compares everything then.
 */
#pragma once
#include "relay.h"

/* `groups`: bit n-1 is group n (RTMGRP_*, or 1 << (NFNLGRP_NFTABLES - 1)). 0 or -errno. A watch lives as long as serve. */
int watch_start(const struct loop_port *port, uint32_t id, uint64_t protocol, uint64_t groups);
