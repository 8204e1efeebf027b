/** Checks whose findings the conversion has already: they need the base images' variables and platforms and the context's ignore file. */
import { type Rule, rule } from "./rule.ts";

const observed = (name: string, description: string): Rule =>
  rule(name, description, ({ dockerfile: { file }, found }) =>
    found
      .filter((observation) => observation.rule === name)
      .map(({ short, location }) => ({ message: short, location: location ?? { file, startLine: 0, endLine: 0 } })),
  );

export const observedRules: readonly Rule[] = [
  observed("UndefinedVar", "Variables should be defined before their use"),
  // The one that Docker has no page for.
  {
    ...observed("InvalidBaseImagePlatform", "Base image platform does not match expected target platform"),
    url: "",
  },
];
