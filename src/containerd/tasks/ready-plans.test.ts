import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReadyPlan, ReadyPlans } from "./ready-plans.ts";

const of = { record: Buffer.from("{}"), root: "/merged" };
const ready = { spec: Buffer.from("{}"), plan: {} } as unknown as ReadyPlan;

test("a plan that was made ready is taken once, by the start of what it was made for", () => {
  const plans = new ReadyPlans();
  plans.foresee("a", () => ({ of, ready }));
  assert.equal(plans.take("b", of), undefined);
  assert.equal(plans.take("a", { ...of, record: Buffer.from("{}") }), ready);
  assert.equal(plans.take("a", of), undefined);
});

for (const [what, other] of [
  ["specification", { ...of, record: Buffer.from('{"a":1}') }],
  ["root", { ...of, root: "/elsewhere" }],
] as const)
  test(`a plan is worth nothing for another ${what}`, () => {
    const plans = new ReadyPlans();
    plans.foresee("a", () => ({ of, ready }));
    assert.equal(plans.take("a", other), undefined);
    assert.equal(plans.take("a", of), undefined);
  });

test("a specification that can't be compiled is left to the start, and only some plans are kept", () => {
  const plans = new ReadyPlans();
  plans.foresee("a", () => {
    throw new Error("no");
  });
  assert.equal(plans.take("a", of), undefined);
  for (let i = 0; i < 1000; i++) plans.foresee(String(i), () => ({ of, ready }));
  const kept = Array.from({ length: 1000 }, (_, i) => plans.take(String(i), of)).filter(Boolean).length;
  assert.ok(kept > 0 && kept < 100, `${kept} are kept`);
});
