/* The inside of keel ports: one thread, one epoll, one event a turn, so a handler may free whatever it likes. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "relay.h"
#include "shim_inbox.h"

enum { ADDRESS_BYTES = 48, EXPIRE_TURN_MS = 1000 };

struct address {
  struct sockaddr_storage at;
  socklen_t length;
};

/* A published address. */
struct port {
  struct pollable poll;        /* first: the listening or datagram socket */
  struct port *next;
  uint64_t id, protocol;
  uint16_t listen_port, target_port, asked_port; /* asked: 0 chooses one */
  char listen_text[ADDRESS_BYTES], target_text[ADDRESS_BYTES];
  struct address target;       /* length 0: the address is held, nothing is relayed */
  bool paused;                 /* descriptors ran out: listened to again at the next turn */
};

/* ports.c */
int ports_watch(struct pollable *poll, uint32_t events);   /* 0 events: not watched */
extern struct port *ports_bound;
uint64_t ports_now_ms(void);
void ports_pause(struct port *port);

/* ports_tcp.c */
void tcp_on_listener(struct pollable *poll, uint32_t events);
/* ports_udp.c */
void udp_on_datagram(struct pollable *poll, uint32_t events);
void udp_forget(const struct port *port);                  /* its flows */
/* Ends flows that were idle too long. Are there others? */
bool udp_expire(void);
void udp_set_limit(size_t flows);
