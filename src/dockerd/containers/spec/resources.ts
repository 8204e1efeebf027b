/** Limits as OCI linux.resources. Pure but for device numbers of the throttled devices. */
import { statSync } from "node:fs";
import { during } from "../../../platform/errors.ts";
import type { Resources, ThrottleDevice } from "../config.ts";

const PERIOD_US = 100_000;

export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

/** `isFresh`: at create; an update leaves alone what it does not name. */
export function resourcesOf(r: Resources): object {
  const quota = r.NanoCpus > 0 ? Math.round((r.NanoCpus * PERIOD_US) / 1e9) : r.CpuQuota;
  const period = r.NanoCpus > 0 ? PERIOD_US : r.CpuPeriod;
  return {
    cpu: {
      ...(r.CpuShares > 0 && { shares: r.CpuShares }),
      ...(quota !== 0 && { quota }),
      ...(period !== 0 && { period }),
      ...(r.CpuRealtimePeriod > 0 && { realtimePeriod: r.CpuRealtimePeriod }),
      ...(r.CpuRealtimeRuntime > 0 && { realtimeRuntime: r.CpuRealtimeRuntime }),
      ...(r.CpusetCpus !== "" && { cpus: r.CpusetCpus }),
      ...(r.CpusetMems !== "" && { mems: r.CpusetMems }),
    },
    memory: {
      ...(r.Memory > 0 && { limit: r.Memory }),
      ...(r.MemoryReservation > 0 && { reservation: r.MemoryReservation }),
      ...(r.MemorySwap !== 0 && r.Memory > 0 && { swap: r.MemorySwap }),
      ...(r.MemorySwappiness !== null && r.MemorySwappiness >= 0 && { swappiness: r.MemorySwappiness }),
      ...(r.OomKillDisable === true && { disableOOMKiller: true }),
    },
    ...(r.PidsLimit !== null && { pids: { limit: r.PidsLimit } }),
    ...withoutEmpty("blockIO", {
      ...(r.BlkioWeight > 0 && { weight: r.BlkioWeight }),
      ...listed(
        "weightDevice",
        r.BlkioWeightDevice.map(({ Path, Weight }) => ({ ...numbersOf(Path), weight: Weight })),
      ),
      ...listed("throttleReadBpsDevice", r.BlkioDeviceReadBps.map(throttle)),
      ...listed("throttleWriteBpsDevice", r.BlkioDeviceWriteBps.map(throttle)),
      ...listed("throttleReadIOPSDevice", r.BlkioDeviceReadIOps.map(throttle)),
      ...listed("throttleWriteIOPSDevice", r.BlkioDeviceWriteIOps.map(throttle)),
    }),
  };
}

const throttle = ({ Path, Rate }: ThrottleDevice) => ({ ...numbersOf(Path), rate: Rate });

const listed = (name: string, list: readonly object[]): object => (list.length > 0 ? { [name]: list } : {});
const withoutEmpty = (name: string, value: object): object => (Object.keys(value).length > 0 ? { [name]: value } : {});

function numbersOf(path: string): { major: number; minor: number } {
  try {
    const { rdev } = statSync(path);
    return { major: majorOf(rdev), minor: minorOf(rdev) };
  } catch (error) {
    throw during(`look at device ${path}`, error);
  }
}

/** makedev(3) as glibc packs it. */
export const majorOf = (rdev: number): number =>
  Number(((BigInt(rdev) >> 8n) & 0xfffn) | ((BigInt(rdev) >> 32n) & ~0xfffn));
export const minorOf = (rdev: number): number => Number((BigInt(rdev) & 0xffn) | ((BigInt(rdev) >> 12n) & ~0xffn));
