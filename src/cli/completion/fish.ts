import { globalOptions, readFlags, viewOptions } from '../options.ts'
import { kindText } from './flatten.ts'
import type { CompletedCommand, CompletedNoun, CompletedOption, CompletionTree } from './flatten.ts'

/** The completion script for fish 3 and newer. */
export function fishScript({ nouns, commands }: CompletionTree): string {
  const valued = [
    ...new Set(commands.flatMap((command) => command.options.filter((option) => option.takesValue).flatMap(({ names }) => names))),
  ]
  const groups = nouns.filter(({ verbs }) => verbs !== undefined).map(({ names }) => names[0] ?? '')
  return `# fish completion of cidery; load it with: cidery completion fish | source
# Prints the usual name of a noun or of a noun and verb.
function __cidery_usual
    switch $argv[1]
${aliasLines({ nouns, commands })}
        case '*'
            echo $argv[1]
    end
end

# Prints noun and verb of the words before the cursor, and how many arguments follow.
function __cidery_walk
    set -l path
    set -l count 0
    set -l skip
    for word in (commandline -opc)[2..-1]
        if set -q skip[1]
            set -e skip
            continue
        end
        switch $word
            case --
                echo rest 0
                return
            case ${valued.join(' ')}
                set skip 1
            case '-*'
            case '*'
                if test (count $path) -eq 0
                    set path (__cidery_usual $word)
                else if test (count $path) -eq 1; and contains -- $path[1] ${groups.join(' ')}
                    set path (string split ' ' -- (__cidery_usual "$path[1] $word"))
                else
                    set count (math $count + 1)
                end
        end
    end
    echo "$path" $count
end

# True at this noun and verb; with a number, only for that argument.
function __cidery_at
    set -l now (__cidery_walk)
    set -l path (string replace -r ' ?\\d+$' '' -- $now)
    set -l count (string match -r '\\d+$' -- $now)
    test "$path" = "$argv[1]"; or return 1
    test (count $argv) -lt 2; or test $argv[2] = any; or test $argv[2] -eq $count
end

complete -c cidery -f
${[...nouns.map(nounLine), ...nouns.flatMap(verbLines), ...sharedLines(commands), ...commands.flatMap(commandLines)].join('\n')}
complete -c cidery -n '__cidery_at rest' -F
`
}

function aliasLines({ nouns, commands }: CompletionTree): string {
  const named = [...nouns.map(({ names }) => names), ...commands.map(({ paths }) => paths.filter((path) => path.includes(' ')))]
  return named
    .flatMap(([usual = '', ...others]) =>
      others
        .filter((other) => other.split(' ')[0] === usual.split(' ')[0] || !other.includes(' '))
        .map((other) => `        case '${other}'\n            echo '${usual}'`),
    )
    .join('\n')
}

function nounLine({ names, summary }: CompletedNoun): string {
  return `complete -c cidery -n '__cidery_at ""' -a ${names[0] ?? ''} -d ${quote(summary)}`
}

function verbLines({ names: [noun = ''], verbs }: CompletedNoun): readonly string[] {
  return (verbs ?? []).map((verb) => `complete -c cidery -n '__cidery_at ${noun}' -a ${verb.names[0] ?? ''} -d ${quote(verb.summary)}`)
}

const everywhere = new Set([...globalOptions, ...viewOptions].map(({ flags }) => readFlags(flags).long))

function sharedLines(commands: readonly CompletedCommand[]): readonly string[] {
  const shared = new Map(
    commands.flatMap((command) => command.options.filter(isShared).map((option) => [option.names.join(), option] as const)),
  )
  return [...shared.values()].map(
    (option) => `complete -c cidery -n 'not __cidery_at rest' ${optionWords(option)} -d ${quote(option.about)}`,
  )
}

function isShared({ names }: CompletedOption): boolean {
  return names.some((name) => everywhere.has(name) || name === '--help')
}

function commandLines(command: CompletedCommand): readonly string[] {
  const [path = ''] = command.paths
  const own = command.options.filter((option) => !isShared(option))
  return [
    ...own.map((option) => `complete -c cidery -n '__cidery_at "${path}"' ${optionWords(option)} -d ${quote(option.about)}`),
    ...command.arguments.flatMap(({ completes, many }, index) => {
      const words = completionWords(kindText(completes))
      return words === '' ? [] : [`complete -c cidery -n '__cidery_at "${path}" ${many ? 'any' : index}' ${words}`]
    }),
  ]
}

function optionWords(option: CompletedOption): string {
  const names = option.names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  if (!option.takesValue) return names.join(' ')
  return [...names, '-r', completionWords(kindText(option.completes)) || '-f'].join(' ')
}

function completionWords(kind: string): string {
  if (kind.startsWith('=')) return `-f -a ${quote(kind.slice(1))}`
  if (kind.startsWith('@')) return `-f -a '(cidery __complete ${kind.slice(1)} 2>/dev/null)'`
  if (kind === 'file') return '-F'
  return kind === 'directory' ? `-f -a '(__fish_complete_directories)'` : ''
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", '’')}'`
}
