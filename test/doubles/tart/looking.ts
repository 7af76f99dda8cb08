import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Parsed } from './command-line.ts'
import { RuntimeFailure } from './failures.ts'
import { foundationJson } from './foundation-json.ts'
import { cachedImages, localVms, openLocal, readConfig, type VmDirectory } from './home.ts'
import { addressOf } from './leases.ts'
import { profile } from './profile.ts'

const gb = 1000 ** 3

function listed(source: 'local' | 'OCI', vm: VmDirectory): Readonly<Record<string, string | number | boolean>> {
  const { disk, allocated } = vm.sizes()
  const state = source === 'local' ? vm.state() : 'stopped'
  return {
    Source: source,
    Name: vm.name,
    Disk: Math.floor(disk / gb),
    Size: Math.floor(allocated / gb),
    ...(profile.listsSizeOnDisk ? { SizeOnDisk: Math.floor(allocated / gb) } : {}),
    Accessed: statSync(vm.path)
      .atime.toISOString()
      .replace(/\.\d+Z$/, 'Z'),
    Running: state === 'running',
    State: state,
  }
}

export function list(parsed: Parsed): void {
  const source = parsed.value('source')
  const rows = [
    ...(source === 'oci' ? [] : localVms().map((vm) => listed('local', vm))),
    ...(source === 'local' ? [] : cachedImages().map((vm) => listed('OCI', vm))),
  ]
  if (parsed.has('quiet')) for (const { Name } of rows) console.log(Name)
  else if (parsed.value('format') === 'json') console.log(foundationJson(rows))
  else console.log(table(['Source', 'Name', 'Disk', 'Size', 'Accessed', 'State'], rows))
}

function table(columns: readonly string[], rows: readonly Readonly<Record<string, string | number | boolean>>[]): string {
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => String(row[column]).length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(' ')
      .trimEnd()
  return [line(columns), ...rows.map((row) => line(columns.map((column) => String(row[column]))))].join('\n')
}

export function get(parsed: Parsed): void {
  const vm = openLocal(parsed.words[0] ?? '')
  const config = readConfig(vm)
  const { disk, allocated } = vm.sizes()
  const state = vm.state()
  const row = {
    OS: config.os,
    CPU: config.cpuCount,
    Memory: Math.floor(config.memorySize / 1024 ** 2),
    Disk: Math.floor(disk / gb),
    DiskFormat: config.diskFormat,
    Size: (allocated / gb).toFixed(3),
    Display: `${config.display.width}x${config.display.height}`,
    Running: state === 'running',
    State: state,
  }
  console.log(parsed.value('format') === 'json' ? foundationJson(row) : table(Object.keys(row), [row]))
}

/** Looks for an address and never whether the machine still runs. Sleeps before it looks at the time, so that `--wait 0` takes a second too. */
export async function ip(parsed: Parsed): Promise<void> {
  const vm = openLocal(parsed.words[0] ?? '')
  const { macAddress } = readConfig(vm)
  const resolver = parsed.value('resolver')
  const until = performance.now() + (parsed.number('wait') ?? 0) * 1000
  do {
    const address = resolver === 'agent' ? null : addressOf(macAddress)
    if (address !== null) return console.log(address)
    await sleep(1000)
  } while (performance.now() < until)
  const hints: Readonly<Record<string, string>> = {
    agent: ' (also make sure that Guest agent for Tart is running inside of a VM)',
    arp: ' (not all Linux distributions are compatible with the ARP resolver)',
  }
  throw new RuntimeFailure(`no IP address found, is your VM running?${hints[resolver ?? ''] ?? ''}`)
}
