/**
 * Writes src/runc/seccomp/syscalls-*.ts from the kernel headers of this machine (linux-libc-dev): `bun scripts/syscall-tables.ts`.
 * 32-bit ARM's come from a cross package (linux-libc-dev-armhf-cross): its include directory is the argument; without it the table stays.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";

/** Calls newer than the headers of Debian 12. From 424 on every architecture has the same numbers (kernel scripts/syscall.tbl). */
const newer: readonly (readonly [string, number])[] = (
  "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr " +
  "lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns"
)
  .split(" ")
  .map((name, i) => [name, 451 + i] as const);

/** Where ARM's own calls begin (__ARM_NR_BASE). */
const ARM_PRIVATE = 0x0f0000;

type Numbers = Map<string, number>;

/** What the preprocessor makes of a header: __NR_ names and their values. */
function fromHeader(include: string, defines: readonly string[] = [], directory = ""): Numbers {
  const source = `${defines.map((name) => `#define ${name}\n`).join("")}#include <${include}>\n`;
  const macros = execFileSync("gcc", ["-E", "-dM", ...(directory ? ["-I", directory] : []), "-"], {
    input: source,
    encoding: "utf8",
  });
  const values = new Map(
    [...macros.matchAll(/^#define (__(?:NR|NR3264|ARM_NR)_\w+) (.+)$/gm)].map(([, name, value]) => [
      name!,
      value!.trim(),
    ]),
  );
  const resolve = (text: string): number => {
    const sum = /^\((\w+) ?\+ ?(\d+)\)$/.exec(text);
    if (sum) return (sum[1] === "__ARM_NR_BASE" ? ARM_PRIVATE : 0) + Number(sum[2]);
    if (/^\d+$/.test(text)) return Number(text);
    const other = values.get(text);
    if (other === undefined) throw new Error(`${include}: what is ${text}?`);
    return resolve(other);
  };
  const named = [...values].filter(
    ([name]) => !/^__NR3264|_(syscalls|arch_specific_syscall|SYSCALL_MASK|BASE)$/.test(name),
  );
  return new Map(named.map(([name, text]) => [name.replace(/^__(NR|ARM_NR)_/, ""), resolve(text)]));
}

function write(file: string, constant: string, title: string, numbers: Numbers): void {
  for (const [name, number] of newer) if (!numbers.has(name)) numbers.set(name, number);
  let next = 0;
  const words = [...numbers]
    .sort(([, a], [, b]) => a - b)
    .flatMap(([name, number]) => {
      const jump = number === next ? [] : [`=${number}`];
      next = number + 1;
      return [...jump, name];
    });
  const lines: string[] = [""];
  for (const word of words) {
    if (lines.at(-1)!.length + word.length > 108) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  lines[lines.length - 1] = lines.at(-1)!.trimEnd();
  const text = lines.map((line) => `  "${line}"`).join(" +\n");
  const head = `/** ${title}, in the order of their numbers; "=N" is where the count goes on. Written by scripts/syscall-tables.ts. */`;
  writeFileSync(
    new URL(`../src/runc/seccomp/${file}`, import.meta.url),
    `${head}\nexport const ${constant} =\n${text};\n`,
  );
}

const generic = [
  "__ARCH_WANT_RENAMEAT",
  "__ARCH_WANT_NEW_STAT",
  "__ARCH_WANT_SET_GET_RLIMIT",
  "__ARCH_WANT_TIME32_SYSCALLS",
  "__ARCH_WANT_SYS_CLONE3",
  "__ARCH_WANT_MEMFD_SECRET",
];
write("syscalls-x86_64.ts", "syscallsX86", "System calls of x86-64", fromHeader("asm/unistd_64.h"));
write("syscalls-x32.ts", "syscallsX32", "System calls of x32, without their bit 30", fromHeader("asm/unistd_x32.h"));
write("syscalls-i386.ts", "syscallsI386", "System calls of i386", fromHeader("asm/unistd_32.h"));
write("syscalls-arm64.ts", "syscallsArm64", "System calls of arm64", fromHeader("asm-generic/unistd.h", generic));
const [arm] = process.argv.slice(2);
if (arm)
  write(
    "syscalls-arm.ts",
    "syscallsArm",
    "System calls of 32-bit ARM (EABI)",
    fromHeader("asm/unistd.h", ["__ARM_EABI__"], arm),
  );
