/** Which Tart is imitated, and what differs between them. */
export interface Profile {
  readonly version: string
  /** `tart exec` and `--resolver agent` came with the guest agent. */
  readonly hasExec: boolean
  /** Went away in 2026-02. */
  readonly listsSizeOnDisk: boolean
  /** Later versions name the other machines instead of printing what the framework said. */
  readonly namesNeighbours: boolean
}

const profiles: Readonly<Record<string, Profile>> = {
  '2.20': { version: '2.20.0', hasExec: false, listsSizeOnDisk: true, namesNeighbours: false },
  '2.30': { version: '2.30.0', hasExec: true, listsSizeOnDisk: true, namesNeighbours: true },
  '2.35': { version: '2.35.0', hasExec: true, listsSizeOnDisk: false, namesNeighbours: true },
}

const wanted = process.env['TART_FAKE_VERSION'] ?? '2.35'

function chosen(): Profile {
  const profile = profiles[wanted]
  if (profile === undefined) throw new Error(`TART_FAKE_VERSION is ${wanted}; there are ${Object.keys(profiles).join(', ')}`)
  return profile
}

export const profile: Profile = chosen()
