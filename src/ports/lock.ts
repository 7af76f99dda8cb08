/** A kernel lock held by this living process: free as soon as the process is gone, never inherited by children. */
export interface Lock {
  /** Takes it or throws AGENT_LOCKED / CONTROLLER_LOCKED naming the holder's pid and the lock's path. */
  acquire(path: string, purpose: 'agent' | 'controller'): Promise<HeldLock>
}
export interface HeldLock {
  release(): Promise<void>
}
