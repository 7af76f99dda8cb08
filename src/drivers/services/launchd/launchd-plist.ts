import type { ServiceDefinition } from '../../../ports/services.ts'

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value }

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

function written(value: Value, indent: string): string {
  if (typeof value === 'string') return `${indent}<string>${escaped(value)}</string>`
  if (typeof value === 'number') return `${indent}<integer>${value}</integer>`
  if (typeof value === 'boolean') return `${indent}<${value ? 'true' : 'false'}/>`
  const inner = `${indent}  `
  if (isList(value)) return [`${indent}<array>`, ...value.map((item) => written(item, inner)), `${indent}</array>`].join('\n')
  const pairs = Object.entries(value).flatMap(([key, item]) => [`${inner}<key>${escaped(key)}</key>`, written(item, inner)])
  return [`${indent}<dict>`, ...pairs, `${indent}</dict>`].join('\n')
}

/** What launchd knows a service by. */
export function launchdLabel(service: Pick<ServiceDefinition, 'name'>): string {
  return `dev.cidery.${service.name.replace(/^cidery-/, '')}`
}

/** The property list of a service. */
export function launchdPlist(service: ServiceDefinition): string {
  const dict: Value = {
    Label: launchdLabel(service),
    ProgramArguments: service.argv,
    EnvironmentVariables: service.environment,
    WorkingDirectory: '/',
    Umask: 0o077,
    ...(service.user === null || service.desktopSession ? {} : { UserName: service.user }),
    // Virtual machines start only in the session of a logged-in user.
    ...(service.desktopSession ? { LimitLoadToSessionType: 'Aqua' } : {}),
    RunAtLoad: true,
    KeepAlive: true,
    ThrottleInterval: service.throttleS,
    ExitTimeOut: 30,
    // Only the agent ends; jobs go on under their supervisors, and the next agent takes them over.
    AbandonProcessGroup: true,
    ProcessType: 'Interactive',
    StandardOutPath: service.logFile,
    StandardErrorPath: service.logFile,
    SoftResourceLimits: { NumberOfFiles: 65_536 },
  }
  const head = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
  ]
  return [...head, '<plist version="1.0">', written(dict, ''), '</plist>', ''].join('\n')
}
