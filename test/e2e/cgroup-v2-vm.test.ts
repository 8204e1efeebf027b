import assert from "node:assert/strict";
import { after, test } from "node:test";
import { reasonForNoMachine, VirtualMachine } from "../vm/virtual-machine.ts";

/** An engine in a machine of its own, whose cgroups are v2 alone with every controller, as on a host with systemd (nsdelegate). */
const START = `
rm -f /run/hulld.log
(hulld --rehearse=false -H unix:///var/run/docker.sock --add-runtime debian-runc=/usr/sbin/runc --add-runtime debian-crun=/usr/bin/crun >/run/hulld.log 2>&1 &)
i=0
until grep -q 'hull-netd answers' /run/hulld.log && grep -q 'hull-containerd answers' /run/hulld.log && docker version >/dev/null 2>&1
do i=$((i + 1)); [ $i -lt 1200 ] || { cat /run/hulld.log; exit 1; }; sleep 0.2; done`;
const HULL = "/sys/fs/cgroup/hull";
const options = { timeout: 600_000 };

const booted = reasonForNoMachine() ?? (await VirtualMachine.boot());
const machine = typeof booted === "string" ? undefined : booted;
if (typeof booted === "string") console.log(`skipped: ${booted}`);
await machine?.ok(START);
await machine?.ok("hull image make-base");

after(async () => {
  await machine?.[Symbol.asyncDispose]();
}, options);

/** A test with the machine; without one it is skipped, with the reason. */
function inMachine(title: string, body: (vm: VirtualMachine) => Promise<void>): void {
  test(title, { ...options, skip: machine === undefined }, () => body(machine!));
}

const lines = (text: string): string[] => text.split("\n");

inMachine("the engine says that cgroups are version 2 with the cgroupfs driver and lacks no limit", async (vm) => {
  assert.equal(await vm.ok("docker info -f '{{.CgroupVersion}} {{.CgroupDriver}}'"), "2 cgroupfs");
  assert.equal(
    await vm.ok("docker info -f '{{.MemoryLimit}} {{.SwapLimit}} {{.CPUShares}} {{.PidsLimit}}'"),
    "true true true true",
  );
});

inMachine("every limit of a run stands in the container's cgroup, which it sees as a read-only root", async (vm) => {
  const script = `cat /proc/self/cgroup; cd /sys/fs/cgroup
    cat memory.max memory.swap.max memory.low cpu.max cpu.weight cpuset.cpus pids.max; touch x`;
  const flags =
    "-m 64m --memory-swap 96m --memory-reservation 32m --cpus 1.5 --cpu-shares 512 --cpuset-cpus 1 --pids-limit 77";
  const ran = await vm.sh(`docker run --rm ${flags} busybox sh -c '${script}'`);
  assert.deepEqual(lines(ran.stdout.trim()), [
    "0::/",
    "67108864",
    "33554432",
    "33554432",
    "150000 100000",
    "59",
    "1",
    "77",
  ]);
  assert.match(ran.stderr, /Read-only file system/);
});

inMachine("a container that exceeds its memory is killed, and said to be", async (vm) => {
  assert.equal((await vm.sh("docker run --name oom -m 20m busybox tail -c 90000000 /dev/zero")).code, 137);
  assert.equal(
    await vm.ok("docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom; docker rm oom"),
    "true 137\noom",
  );
});

inMachine("a privileged container has a writable tree of its own, and what it makes there goes with it", async (vm) => {
  const script = "cat /proc/self/cgroup; mkdir /sys/fs/cgroup/inner && echo made; ls /dev/vda";
  assert.equal(await vm.ok(`docker run --rm --privileged busybox sh -c '${script}'`), "0::/\nmade\n/dev/vda");
  assert.match(
    await vm.ok("docker run --rm --cgroupns host busybox cat /proc/self/cgroup"),
    /^0::\/hull\/[0-9a-f]{64}$/,
  );
  await vm.ok(`i=0; while ls -d ${HULL}/*/ 2>/dev/null; do i=$((i + 1)); [ $i -lt 100 ]; sleep 0.1; done`);
});

inMachine("devices are allowed and denied by a program on the cgroup", async (vm) => {
  const denied = await vm.sh(
    "docker run --rm busybox sh -c 'head -c 3 /dev/zero | wc -c; mknod /tmp/d b 254 0 && head -c 1 /tmp/d'",
  );
  assert.equal(denied.stdout.trim(), "3");
  assert.match(denied.stderr, /Operation not permitted/);
  const given = await vm.sh(
    "docker run --rm --device /dev/vda:/dev/xvda:r busybox sh -c 'head -c 9 /dev/xvda | wc -c; : >/dev/xvda'",
  );
  assert.equal(given.stdout.trim(), "9");
  assert.match(given.stderr, /Operation not permitted/);
});

inMachine("limits of block devices and what v2 lacks are written, or left out with a warning", async (vm) => {
  const flags = "--device-write-bps /dev/vda:1mb --device-read-iops /dev/vda:100 --blkio-weight 300";
  const limits = await vm.ok(`docker run --rm ${flags} busybox cat /sys/fs/cgroup/io.max /sys/fs/cgroup/io.weight`);
  assert.match(limits, /wbps=1048576 riops=100[\s\S]*default 2930/);
  const ran = await vm.sh("docker run --rm --memory-swappiness 10 --oom-kill-disable -m 20m busybox echo ran");
  assert.equal(ran.stdout.trim(), "ran");
  assert.match(ran.stderr, /swappiness discarded[\s\S]*OomKillDisable discarded/i);
});

inMachine("stats show what the cgroup counts, and update changes its limits while it runs", async (vm) => {
  await vm.ok("docker run -d --name busy -m 100m --cpus 0.5 --pids-limit 50 busybox tail -c 21000000 /dev/zero");
  await vm.ok(
    `i=0; until [ $(cat ${HULL}/*/memory.current) -gt 20000000 ]; do i=$((i + 1)); [ $i -lt 300 ]; sleep 0.1; done`,
  );
  const stats = JSON.parse(await vm.ok("docker stats --no-stream --format json busy"));
  assert.match(stats.MemUsage, /^\d\d(\.\d+)?MiB \/ 100MiB$/);
  assert.equal(stats.PIDs, "1");
  const percent = Number.parseFloat(stats.CPUPerc);
  assert.ok(percent > 20 && percent < 75, stats.CPUPerc);
  await vm.ok(
    "docker update -m 80m --memory-swap 90m --cpus 0.25 --pids-limit 33 --cpu-shares 2048 --cpuset-cpus 0 busy",
  );
  const files = "memory.max memory.swap.max cpu.max pids.max cpu.weight cpuset.cpus";
  const updated = ["83886080", "10485760", "25000 100000", "33", "174", "0"];
  assert.deepEqual(lines(await vm.ok(`cd ${HULL}/*/ && cat ${files}`)), updated);
  await vm.ok("docker update --memory-swap -1 busy");
  assert.equal(await vm.ok(`cat ${HULL}/*/memory.swap.max; docker rm -f busy`), "max\nbusy");
});

inMachine("pause freezes the cgroup; a paused container can be stopped, restarted and killed", async (vm) => {
  await vm.ok("docker run -d --name still busybox sleep 1000; docker pause still");
  assert.match(await vm.ok(`cat ${HULL}/*/cgroup.events`), /frozen 1/);
  assert.match((await vm.sh("docker exec still true")).stderr, /is paused/);
  await vm.ok("docker unpause still");
  assert.match(await vm.ok(`cat ${HULL}/*/cgroup.events`), /frozen 0/);
  await vm.ok("docker pause still && docker restart -t 1 still && docker pause still && docker stop -t 1 still");
  await vm.ok("docker start still && docker pause still && docker kill still && docker rm still");
});

inMachine(
  "an exec enters the cgroup and its namespace, though the tree is delegated to nobody outside of it",
  async (vm) => {
    await vm.ok("docker run -d --name host busybox sleep 1000");
    assert.equal(await vm.ok("docker exec host cat /proc/self/cgroup"), "0::/");
    assert.equal(
      await vm.ok(`docker exec -d host sleep 999; cat ${HULL}/*/pids.current; docker rm -f host`),
      "2\nhost",
    );
  },
);

inMachine("hull-runc runs a bundle of runc spec beside runc, in the same places", async (vm) => {
  const bundle = `mkdir -p /root/b/rootfs && cd /root/b && docker export $(docker create busybox) | tar x -C rootfs && runc spec
    sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"cat", "\\/proc\\/self\\/cgroup"/' config.json
    docker container prune -f >/dev/null`;
  await vm.ok(bundle);
  assert.equal(await vm.ok("cd /root/b && runc run one && hull-runc run two"), "0::/\n0::/");
  await vm.ok(`cd /root/b && sed -i 's/"cat", .*/"sleep", "1000"/; s/"\\/proc\\/self\\/cgroup"//' config.json`);
  const exec = await vm.ok(
    "cd /root/b && hull-runc run -d two && hull-runc exec two cat /proc/self/cgroup && cat /sys/fs/cgroup/two/pids.current",
  );
  assert.equal(exec, "0::/\n1");
  await vm.ok("hull-runc pause two && hull-runc resume two && hull-runc update --memory 33554432 two");
  assert.equal(
    await vm.ok(
      "cat /sys/fs/cgroup/two/memory.max; hull-runc delete -f two; ls -d /sys/fs/cgroup/two 2>/dev/null || echo gone",
    ),
    "33554432\ngone",
  );
});

inMachine("other runtimes below the shim work on cgroup v2: their limits, processes and ends", async (vm) => {
  for (const name of ["debian-runc", "debian-crun"]) {
    const show = "cat /proc/self/cgroup /sys/fs/cgroup/memory.max; exit 4";
    const ran = await vm.sh(`docker run --rm --runtime ${name} -m 64m busybox sh -c '${show}'`);
    assert.deepEqual([ran.stdout, ran.code], ["0::/\n67108864\n", 4], ran.stderr);
    await vm.ok(`docker run -d --name other --runtime ${name} busybox sleep 1000`);
    assert.equal(await vm.ok("docker exec other cat /proc/self/cgroup"), "0::/");
    await vm.ok("docker pause other && docker unpause other && docker rm -f other");
    assert.equal(
      (await vm.sh(`docker run --rm --runtime ${name} -m 20m busybox tail -c 90000000 /dev/zero`)).code,
      137,
    );
  }
});

inMachine(
  "an engine inside a container moves off the inner node it stands on, and its containers have limits",
  async (vm) => {
    const hosted = "docker -H unix:///run/in/docker.sock";
    const inner = `mkdir -p /run/in && umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
    (hulld -H unix:///run/in/docker.sock --data-root /var/lib/in --exec-root /run/in --bridge none --iptables=false >/run/in.log 2>&1 &)
    until grep -q "hull-containerd answers" /run/in.log && grep -q "hull-netd answers" /run/in.log; do sleep 0.2; done
    hull -H unix:///run/in/docker.sock image make-base
    ${hosted} run --rm --network none -m 64m --pids-limit 9 busybox sh -c "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"
    cat /proc/self/cgroup; kill $(cat /run/in/hulld.pid)`;
    const enter = `mkdir /sys/fs/cgroup/box && echo $$ >/sys/fs/cgroup/box/cgroup.procs && exec unshare -C -m sh /run/inner`;
    await vm.ok(`cat >/run/inner <<'END'
${inner}
END
echo '${enter}' >/run/enter`);
    assert.match(
      await vm.ok("timeout 250 sh /run/enter; code=$?; cat /run/in.log >&2; exit $code"),
      /67108864\n9\n0::\/init/,
    );
  },
);

inMachine("published ports, volumes, attach and a killed engine work on this kernel too", async (vm) => {
  await vm.ok(
    "docker run -d --name web -p 8080:80 -v data:/www busybox sh -c 'echo page >/www/index.html; exec httpd -f -p 80 -h /www'",
  );
  const fetch =
    "i=0; until wget -qO- http://127.0.0.1:8080/; do i=$((i + 1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done";
  assert.equal(await vm.ok(fetch), "page");
  const pid = await vm.ok("docker inspect -f '{{.State.Pid}}' web");
  await vm.ok(`kill -9 $(pidof hulld); ${START}`);
  assert.equal(await vm.ok("docker inspect -f '{{.State.Pid}}' web"), pid);
  assert.equal(await vm.ok(fetch), "page");
  assert.equal(
    await vm.ok("echo typed | docker run --rm -i -v data:/www busybox sh -c 'cat; cat /www/index.html'"),
    "typed\npage",
  );
  await vm.ok("docker rm -f web && docker volume rm data");
});
