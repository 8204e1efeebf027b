/** Events of containers with Docker's attributes: labels, image, name, and what the action adds. */
import type { EventBus } from "../events/api.ts";
import type { ContainerRecord } from "./record.ts";

type Attributes = Readonly<Record<string, string>>;

export class ContainerEvents {
  constructor(private readonly bus: EventBus) {}

  container(record: ContainerRecord, action: string, attributes: Attributes = {}): void {
    const { config, id, name } = record;
    this.bus.publish({
      type: "container",
      action,
      id,
      attributes: { ...config.Labels, image: config.Image, name, ...attributes },
    });
  }

  network(
    record: ContainerRecord,
    action: "connect" | "disconnect",
    network: { id: string; name: string; type: string },
  ): void {
    const { id, name, type } = network;
    this.bus.publish({ type: "network", action, id, attributes: { container: record.id, name, type } });
  }

  volume(
    record: ContainerRecord,
    action: "mount" | "unmount",
    volume: { name: string; driver: string; destination: string; writable: boolean },
  ): void {
    const attributes = {
      container: record.id,
      driver: volume.driver,
      ...(action === "mount" && {
        destination: volume.destination,
        propagation: "",
        "read/write": String(volume.writable),
      }),
    };
    this.bus.publish({ type: "volume", action, id: volume.name, attributes });
  }
}
