/* The device filter of cgroup v2: a program of the kernel's BPF, attached to the cgroup. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include "plan.h"
#include "system.h"

static int sys_bpf(int command, union bpf_attr *attributes) { return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes); }

static int load(struct run *run, struct blob program) {
  char words[256] = "";
  struct bpf_insn *instructions = malloc(program.length);
  if (!instructions) return -ENOMEM;
  memcpy(instructions, program.bytes, program.length);
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = (uint64_t)(uintptr_t)instructions;
  attributes.insn_cnt = program.length / (uint32_t)sizeof *instructions;
  attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
  attributes.log_buf = (uint64_t)(uintptr_t)words;
  attributes.log_size = sizeof words;
  attributes.log_level = 1;
  int fd = sys_bpf(BPF_PROG_LOAD, &attributes);
  if (fd < 0 && errno == ENOSPC) { /* the log did not fit: it is of use for a refusal only */
    attributes.log_level = 0, attributes.log_size = 0, attributes.log_buf = 0;
    fd = sys_bpf(BPF_PROG_LOAD, &attributes);
  }
  int error = fd < 0 ? -errno : 0;
  free(instructions);
  return error ? run_fail(run, error, "%.200s", words) : fd;
}

int op_cgroup_devices(struct run *run, const struct record *r) {
  if (r->b[0].length == 0 || r->b[0].length % sizeof(struct bpf_insn)) return -EINVAL;
  int cgroup = slot_fd(run, r->i[0]);
  if (cgroup < 0) return cgroup;
  int program = load(run, r->b[0]);
  int error = program < 0 ? program : 0;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = (uint32_t)cgroup;
  attributes.attach_bpf_fd = (uint32_t)program;
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_OVERRIDE;
  if (error == 0 && sys_bpf(BPF_PROG_ATTACH, &attributes)) error = -errno;
  if (program >= 0) close(program);
  return error;
}
