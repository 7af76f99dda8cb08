import type { z } from 'zod'
import type * as api from '../../model/api.ts'

// The shapes of model/api.ts as types alone: the schemas themselves are the server's, and loading them would double the time to start.
export type {
  AttemptView,
  HostView,
  JobView,
  OperationView,
  PoolView,
  QueueView,
  SandboxView,
  UserView,
  WaitingView,
} from '../../model/api.ts'
export type UserView = z.infer<typeof api.UserView>
export type TokenView = z.infer<typeof api.TokenView>
export type TokenCreated = z.infer<typeof api.TokenCreated>
export type SessionView = z.infer<typeof api.SessionView>
export type EnrolmentCreated = z.infer<typeof api.EnrolmentCreated>
export type SecretView = z.infer<typeof api.SecretView>
export type SpecView = z.infer<typeof api.SpecView>
export type SpecDiff = z.infer<typeof api.SpecDiff>
export type ExplainView = z.infer<typeof api.ExplainView>
export type UploadView = z.infer<typeof api.UploadView>
export type ControllerView = z.infer<typeof api.ControllerView>
export type DoctorView = z.infer<typeof api.DoctorView>
export type CheckView = z.infer<typeof api.CheckView>
export type AuditVerifyView = z.infer<typeof api.AuditVerifyView>
export type { SealedEvent } from '../../model/event.ts'
export type { Artifact, ArtifactFailure, JobSpec, Outcome } from '../../model/job.ts'

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}
