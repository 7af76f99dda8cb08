/** Pages of `cidery help` that are about no single command. */
export const helpTopics: Readonly<Record<string, { readonly summary: string; readonly text: string }>> = {
  'exit-codes': {
    summary: 'what a command ends with',
    text: `Exit codes

  0    it was done
  1    it could not be done; standard error says why and what to type next
  2    the command line cannot be understood, or (doctor) the worst state
  3    there is something to do (plan --exit-code)
  4    no valid credential, or not enough rights
  130  cancelled by Ctrl-C or by answering no

run, host exec, sandbox exec and sandbox ssh end as what they ran:

  n        the exit code of the command
  128 + n  ended by signal n
  124      stopped at its time limit
  125      cidery could not run it; standard error says why
  130      cancelled

doctor ends with 0 when everything is healthy, 1 when something is degraded and 2 when something failed.
`,
  },
  environment: {
    summary: 'variables that cidery reads',
    text: `Environment

  CIDERY_URL             address of the controller, or several with commas between
  CIDERY_TOKEN           API token
  CIDERY_TOKEN_FILE      file that holds the API token
  CIDERY_CA_FINGERPRINT  SHA-256 of the controller's CA; nothing else is trusted then
  CIDERY_STATE           state directory of a controller on this machine, which has address, CA and
                         token in it (default: /var/lib/cidery for root, else ~/.local/state/cidery)

  CIDERY_OUTPUT           table, wide, json, yaml or name
  NO_COLOR                no colours (also CIDERY_NO_COLOR, CLICOLOR=0)
  CLICOLOR_FORCE          colours also in files and pipes (also CIDERY_CLICOLOR_FORCE)
  CIDERY_FORCE_TTY        write as for a terminal: 1 for 80 columns, or their number
  CIDERY_PROMPT_DISABLED  never ask

The address is taken from --url, then CIDERY_URL, then controller.json in the state directory. The token is taken from
CIDERY_TOKEN, then CIDERY_TOKEN_FILE, then admin.token in the state directory, which is sent only to the controller of that
directory. A token is never an option: every user of a machine can read the options of a running program.
`,
  },
  output: {
    summary: 'what is printed where, and how to read it in a script',
    text: `Output

Data goes to standard output, everything else to standard error.

  --output table  columns that fit the terminal (default)
  --output wide   more columns
  --output json   the thing as the API gives it; lists are { "items": […], "nextCursor": … }
  --output yaml   the same as YAML
  --output name   names or ids alone, one a line

JSON and YAML carry "schemaVersion": 1. Under one number a field is never renamed, removed or given another meaning; fields may
be added. Moments are milliseconds since 1970 (UTC), sizes are bytes unless the name says otherwise.

States are a glyph and a word; colour adds nothing to them. Nothing moves when standard error is not a terminal: each
change is then a line of its own with the time. Control characters in names and texts from elsewhere are removed. The log of a job
goes byte by byte into files and pipes; on a terminal only its colours are kept.
`,
  },
}
