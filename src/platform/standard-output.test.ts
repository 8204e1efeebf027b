import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const module = JSON.stringify(join(import.meta.dirname, "standard-output.ts"));
const script = (body: string) => `import * as out from ${module}; ${body}`;
const shell = (command: string, body: string) =>
  spawnSync("sh", ["-c", command], {
    env: { ...process.env, BUN: process.execPath, BODY: script(body) },
    encoding: "utf8",
  });

const nonBlocking =
  "import fcntl,os,sys; fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK); os.execvp(sys.argv[1], sys.argv[1:])";

test("a text is appended to a file whole, however long", () => {
  const body = `await out.writeText("stdout", "a".repeat(3000)); await out.writeText("stdout", "b".repeat(9000));`;
  const ran = shell(
    `f=$(mktemp); echo before >"$f"; "$BUN" -e "$BODY" >>"$f"; echo after >>"$f"; cat "$f"; rm "$f"`,
    body,
  );
  assert.equal(ran.stdout, `before\n${"a".repeat(3000)}${"b".repeat(9000)}after\n`);
});

test("a text that a file can't take is told, also when it is the first", () => {
  const body = `try { await out.writeText("stdout", "a\\n") } catch (error) { process.exit(error.code === "EFBIG" ? 7 : 1) }`;
  const limited = `trap '' XFSZ; ulimit -f 0; "$BUN" -e "$BODY" >"$f"`;
  assert.match(shell(`f=$(mktemp); (${limited}); echo "ended with $?"; rm "$f"`, body).stdout, /ended with 7/);
});

for (const [what, write] of [
  ["output of a process", `out.writeOutput("stdout", Buffer.alloc(100_000, 97))`],
  ["a command's own text", `out.writeText("stdout", "a".repeat(100_000))`],
] as const) {
  const many = `for (let i = 0; i < 40; i++) await ${write};`;

  test(`${what}: a slow reader gets every byte`, () => {
    assert.equal(shell('"$BUN" -e "$BODY" | (sleep 0.3; wc -c)', many).stdout.trim(), "4000000");
  });

  test(`${what}: a pipe that somebody made non-blocking gets every byte`, () => {
    const program = process.env.PYTHON ?? "python3";
    const ran = shell(`${program} -c '${nonBlocking}' "$BUN" -e "$BODY" | (sleep 0.3; wc -c)`, many);
    assert.equal(ran.stdout.trim(), "4000000");
  });

  test(`${what}: a reader that has gone is EPIPE`, () => {
    const body = `${"try {"} ${many} } catch (error) { process.exit(error.code === "EPIPE" ? 7 : 1) }`;
    assert.match(shell('{ "$BUN" -e "$BODY"; echo "ended with $?" >&2; } | true', body).stderr, /ended with 7/);
  });

  test(`${what}: a pipe that others write to as well stays blocking`, () => {
    const flags = "import fcntl,os,sys; sys.stderr.write(str(fcntl.fcntl(1, fcntl.F_GETFL) & os.O_NONBLOCK))";
    const ran = shell(`{ "$BUN" -e "$BODY"; python3 -c '${flags}'; } | cat >/dev/null`, many);
    assert.equal(ran.stderr, "0");
  });
}

test("files, pipes and the null device are no terminals", () => {
  const body = `console.log([out.isTerminal("stdin"), out.isTerminal("stdout")].join())`;
  assert.equal(
    execFileSync(process.execPath, ["-e", script(body)], { stdio: ["ignore", "pipe", "inherit"] }).toString(),
    "false,false\n",
  );
});
