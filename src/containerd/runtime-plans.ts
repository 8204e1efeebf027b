import type { RuntimePlans } from "./tasks/runtime.ts";
export async function runtimePlans(): Promise<RuntimePlans & { cgroupMode: string }> {
  return new Proxy(
    { cgroupMode: "hybrid" },
    {
      get: (t, k) =>
        k === "cgroupMode"
          ? t.cgroupMode
          : k === "then"
            ? undefined
            : () => {
                throw new Error("not there yet");
              },
    },
  ) as never;
}
