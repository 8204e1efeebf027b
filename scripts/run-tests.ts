/**
 * The test runner behind `npm test`: runs each part as its own process, adds up what they counted, compares the machine's
 * kernel objects before and after, and ends with the one line that says it all.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { takeInventory, whatIsLeft } from "../test/leftovers.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Part {
  readonly name: string;
  readonly run: () => Promise<Counts>;
}

const bun = process.execPath;
/** Of one test, kill storms included. */
const TEST_MS = "180000";
const total: Counts = { passed: 0, failed: 0, skipped: 0 };

/** Runs a command, passes its output through and returns all of it with the exit code. */
function stream(command: string, args: readonly string[]): Promise<{ output: string; code: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    child.on("close", (code) => resolve({ output, code: code ?? 1 }));
  });
}

/** Reads bun's closing lines (" 12 pass", " 1 fail", " 2 skip"). A run that counted nothing, or died, is a failure. */
async function bunTest(...args: string[]): Promise<Counts> {
  const { output, code } = await stream(bun, ["test", ...args]);
  const count = (word: string) => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);
  const counts = { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) counts.failed = 1;
  return counts;
}

async function command(program: string, ...args: string[]): Promise<Counts> {
  const { code } = await stream(program, args);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** Each directory of end-to-end tests runs in its own process, one after the other: they share one kernel. */
function endToEndParts(): Part[] {
  const files = readdirSync("test", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts") && !name.startsWith("tidy/"))
    .sort();
  return files.map((file) => ({
    name: `e2e ${file}`,
    run: () => bunTest("--timeout", TEST_MS, `./${join("test", file)}`),
  }));
}

const before = takeInventory();

const parts: Part[] = [
  { name: "check", run: () => command("scripts/check") },
  { name: "unit", run: () => bunTest("--timeout", TEST_MS, "./src") },
  ...endToEndParts(),
  { name: "fuzz", run: () => command("scripts/fuzz", "--seconds", "60") },
  { name: "leftovers", run: leftovers },
];

async function leftovers(): Promise<Counts> {
  const left = await whatIsLeft(before);
  for (const line of left) console.log(`left behind: ${line}`);
  return { passed: left.length === 0 ? 1 : 0, failed: left.length === 0 ? 0 : 1, skipped: 0 };
}

const asked = process.argv.slice(2);
const chosen = asked.length === 0 ? parts : parts.filter((part) => asked.some((word) => part.name.includes(word)));
const failedParts: string[] = [];
for (const part of chosen) {
  const started = performance.now();
  console.log(`\n=== ${part.name}`);
  const counts = await part.run();
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  if (counts.failed > 0) failedParts.push(part.name);
  console.log(`=== ${part.name}: ${JSON.stringify(counts)} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
if (failedParts.length > 0) console.log(`\nfailed: ${failedParts.join(", ")}`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
