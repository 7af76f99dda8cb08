import { readFileSync } from 'node:fs'
import type { Image } from './images.ts'
import { folderOf, type MachineFiles, type MachineRecord } from './record.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface MachinePlan {
  readonly record: Pick<MachineRecord, 'id' | 'folder' | 'shape' | 'network'>
  readonly files: MachineFiles
  readonly image: Image
  readonly accelerator: Accelerator
  /** What the process becomes once its files are open; null without root. */
  readonly uid: number | null
  /** `save`: it has a monitor, to be told to send its state; `resume`: it starts from the state that descriptor 3 reads. */
  readonly state: 'none' | 'save' | 'resume'
}

/**
 * The speed of the clock, for the kernel: without it about one boot in four of a `microvm` in software emulation hangs for ever at the measuring of its
 * clock, which has no second clock to measure by.
 */
function clockWords(): string {
  const mips = Number(/bogomips\s*:\s*([\d.]+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 4000)
  return `tsc_early_khz=${Math.round(mips * 500)} tsc=reliable no_timer_check`
}

const stateWords = {
  none: () => [],
  save: (files) => ['-qmp', `unix:${files.monitor},server=on,wait=off`],
  resume: () => ['-incoming', 'fd:3'],
} satisfies Record<MachinePlan['state'], (files: MachineFiles) => readonly string[]>

/** Name of a machine's process, by which it is found without a record. */
export function processName(id: string): string {
  return `guest=cidery-${id}`
}

/** Room for translated code in software emulation, MiB; more than a compiler run needs, less than QEMU's own 1 GiB. */
const translationMiB = 256

/**
 * Words of QEMU for one machine: a `microvm` with the image's kernel, a clone of its disk, a disk of the job's own, and two ports to the engine. Files are
 * opened as the agent's user; before the guest runs, the process becomes a user of its own that owns nothing.
 */
export function qemuWords({ record, files, image, accelerator, uid, state }: MachinePlan): readonly string[] {
  const { cpu, memoryMiB } = record.shape
  const accel = accelerator === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', `tcg,tb-size=${translationMiB}`, '-cpu', 'max']
  const clock = accelerator === 'kvm' ? '' : ` ${clockWords()}`
  const port = (name: string, path: string): readonly string[] => {
    return [
      '-chardev',
      `socket,id=${name},path=${path},server=on,wait=off`,
      '-device',
      `virtserialport,chardev=${name},name=cidery.${name}`,
    ]
  }
  // The host's page cache keeps what a guest wrote; what a host that lost its power kept of it nobody uses.
  const disk = (id: string, file: string, format: string): readonly string[] => {
    const drive = `id=${id},file=${file},format=${format},if=none,cache=unsafe,discard=unmap,auto-read-only=off`
    return ['-drive', drive, '-device', `virtio-blk-device,drive=${id}`]
  }
  const network =
    record.network === 'none' ? ['-nic', 'none'] : ['-netdev', 'user,id=net,ipv6=off', '-device', 'virtio-net-device,netdev=net']
  // The way to another user is still needed for the step down from root; after it there is none back.
  const elevate = uid === null ? 'deny' : 'allow'
  return [
    ['-name', processName(folderOf(record)), '-machine', 'microvm', ...accel],
    ['-m', `${memoryMiB}M`, '-smp', String(Math.max(1, Math.ceil(cpu)))],
    ['-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-serial', `file:${files.console}`],
    ['-sandbox', `on,obsolete=deny,elevateprivileges=${elevate},spawn=deny,resourcecontrol=deny`],
    uid === null ? [] : ['-runas', `${uid}:${uid}`],
    ['-kernel', image.kernel, '-initrd', image.initramfs],
    ['-append', `console=ttyS0 quiet panic=-1 mitigations=off${clock}`],
    disk('root', files.root, 'qcow2'),
    disk('data', files.data, 'raw'),
    network,
    ['-device', 'virtio-rng-device', '-device', 'virtio-serial-device'],
    port('control', files.control),
    port('ssh', files.ssh),
    stateWords[state](files),
  ].flat()
}
