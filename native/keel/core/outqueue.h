/* Frames that wait for a socket to take them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct outqueue {
  uint8_t *bytes;
  size_t from, to, capacity;
};

int outqueue_put(struct outqueue *q, uint16_t type, uint32_t id, const uint8_t *payload, size_t length);
int outqueue_raw(struct outqueue *q, const uint8_t *bytes, size_t length);
/* 0: all sent; 1: some are left; -errno: nobody reads any more. */
int outqueue_flush(struct outqueue *q, int fd);
