import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { freemem, totalmem } from 'node:os'

/** Above this the disk is too full to start a job. */
const diskUsedLimit = 0.9

/** Below this there is too little memory to start a job. */
const memoryFreeLimit = 0.1

/** Room of a machine, as fractions 0…1. */
export interface Room {
  readonly diskUsed: number
  readonly memoryFree: number
}

/** Why a machine with this room must not start a job; empty when it may. @example roomProblems({ diskUsed: 0.95, memoryFree: 0.5 }) */
export function roomProblems({ diskUsed, memoryFree }: Room, directory: string): readonly string[] {
  const percent = (fraction: number): string => `${Math.round(fraction * 100)} %`
  return [
    ...(diskUsed > diskUsedLimit ? [`the disk of ${directory} is ${percent(diskUsed)} full (limit ${percent(diskUsedLimit)})`] : []),
    ...(memoryFree < memoryFreeLimit
      ? [`only ${percent(memoryFree)} of the memory is free (at least ${percent(memoryFreeLimit)} is needed)`]
      : []),
  ]
}

function memoryFree(): number {
  try {
    const text = readFileSync('/proc/meminfo', 'utf8')
    const value = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1])
    const fraction = value('MemAvailable') / value('MemTotal')
    if (Number.isFinite(fraction)) return fraction
  } catch {
    // Not Linux.
  }
  return freemem() / totalmem()
}

/** Looks at disk and memory now. */
export async function measureRoom(directory: string): Promise<Room> {
  const { blocks, bfree, bavail } = await statfs(directory)
  const used = blocks - bfree
  return { diskUsed: used / Math.max(1, used + bavail), memoryFree: memoryFree() }
}
