const { test } = require("node:test");
const assert = require("node:assert");
const { greet } = require("../src/greet.js");
test("greets", () => assert.equal(greet("x"), "hello, x"));
