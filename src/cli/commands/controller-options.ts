import { resolve } from 'node:path'
import type { ControllerCommand, LogSettings } from '../../main/cli-processes.ts'
import type { Cli } from '../cli.ts'
import { stateDirectory } from '../client/connection.ts'
import type { OptionDeclaration } from '../declare.ts'
import { UsageError } from '../usage-error.ts'

export interface LogOptions {
  readonly logFormat?: string
  readonly logLevel?: string
}

export const logOptions: readonly OptionDeclaration[] = [
  {
    flags: '--log-format <format>',
    about: 'text or json, one line per message on standard error (default: text)',
    completes: ['text', 'json'],
  },
  { flags: '--log-level <level>', about: 'debug, info, warn or error (default: info)', completes: ['debug', 'info', 'warn', 'error'] },
]

const formats = ['text', 'json'] as const
const levels = ['debug', 'info', 'warn', 'error'] as const

export function readLogOptions(options: LogOptions): LogSettings {
  const format = formats.find((one) => one === (options.logFormat ?? 'text'))
  const level = levels.find((one) => one === (options.logLevel ?? 'info'))
  if (format === undefined) throw new UsageError(`--log-format '${options.logFormat ?? ''}' is not known`, formats.join(' or '))
  if (level === undefined) throw new UsageError(`--log-level '${options.logLevel ?? ''}' is not known`, levels.join(', '))
  return { format, level }
}

/** Options of `up` and `controller run`. */
export interface ControllerOptions extends LogOptions {
  readonly state?: string
  readonly listen?: string
  readonly spec?: string
  readonly store?: string
  readonly blobs?: string
  readonly publicUrl?: string
  readonly certificateName?: readonly string[]
  readonly tlsCertificate?: string
  readonly tlsKey?: string
  readonly tlsCa?: string
  readonly insecureHttp?: boolean
}

export const controllerOptions: readonly OptionDeclaration[] = [
  { flags: '--state <directory>', about: 'where everything is kept (CIDERY_STATE)', completes: 'directory' },
  { flags: '--listen <address>', about: 'HOST:PORT to answer on (default: 127.0.0.1:7700); off loopback it is TLS' },
  { flags: '--spec <file>', about: 'cidery.yaml to put into force, now and whenever it changes', completes: 'file' },
  {
    flags: '--store <store>',
    about: 'sqlite or postgres://USER@HOST/DATABASE (default: CIDERY_STORE_URL, CIDERY_STORE_URL_FILE, else sqlite)',
  },
  {
    flags: '--blobs <directory>',
    about: 'where logs, sources and artifacts are kept (default: in the state directory); one shared folder for all controllers',
    completes: 'directory',
  },
  { flags: '--public-url <url>', about: 'address that hosts and people are told, or several with commas between' },
  { flags: '--certificate-name <name>', about: 'further name or address for the certificate', many: true },
  { flags: '--tls-certificate <file>', about: 'certificate (PEM) of your own, instead of one by the controller', completes: 'file' },
  { flags: '--tls-key <file>', about: 'its key (PEM)', completes: 'file' },
  { flags: '--tls-ca <file>', about: 'the CA (PEM) that signed it', completes: 'file' },
  { flags: '--insecure-http', about: 'plain HTTP off loopback, for development only' },
  ...logOptions,
]

export function readControllerOptions(cli: Cli, options: ControllerOptions): ControllerCommand {
  const { tlsCertificate, tlsKey, tlsCa } = options
  if ((tlsCertificate === undefined) !== (tlsKey === undefined)) throw new UsageError('--tls-certificate and --tls-key go together')
  const file = (path: string) => resolve(cli.cwd, path)
  return {
    stateDir: options.state === undefined ? stateDirectory(cli) : file(options.state),
    listen: options.listen ?? '127.0.0.1:7700',
    version: cli.version,
    log: readLogOptions(options),
    specFile: options.spec === undefined ? undefined : file(options.spec),
    store: options.store,
    blobsDir: options.blobs === undefined ? undefined : file(options.blobs),
    publicUrl: options.publicUrl,
    names: options.certificateName ?? [],
    tls:
      tlsCertificate === undefined || tlsKey === undefined
        ? undefined
        : { certificateFile: file(tlsCertificate), keyFile: file(tlsKey), ...(tlsCa === undefined ? {} : { caFile: file(tlsCa) }) },
    insecureHttp: options.insecureHttp === true,
  }
}
