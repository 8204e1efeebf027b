/* The kernel without a C library, whose start would take longer than all that the launcher does: the entry point and three calls. */
#pragma once

/* Where the kernel leaves argc, argv and envp, as it was at the entry. Never returns. */
void launch(const long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)
#include <asm/unistd_64.h>
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call launch\n");

static inline long call4(long number, long a, long b, long c, long d) {
  long result;
  register long fourth __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
#include <asm/unistd.h>
__asm__(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n b launch\n");

static inline long call4(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#else
#error "not an architecture of ours"
#endif

enum { WORKING_DIRECTORY = -100 /* AT_FDCWD */ };

/* All of these answer -errno when they fail. */
static inline long read_link(const char *path, char *buffer, unsigned long size) {
  return call4(__NR_readlinkat, WORKING_DIRECTORY, (long)path, (long)buffer, (long)size);
}
static inline long execute(const char *path, char *const *argv, char *const *environment) {
  return call4(__NR_execve, (long)path, (long)argv, (long)environment, 0);
}
static inline void complain(const char *text, unsigned long length) { call4(__NR_write, 2, (long)text, (long)length, 0); }

__attribute__((noreturn)) static inline void end(int code) {
  for (;;) call4(__NR_exit_group, code, 0, 0, 0);
}
