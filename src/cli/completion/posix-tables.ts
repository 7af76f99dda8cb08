import { kindText } from './flatten.ts'
import type { CompletionTree } from './flatten.ts'

/**
 * The command tree as shell functions that bash and zsh share: what may follow a noun, which options a command has, and what completes
 * a value or an argument. Each answers in `_cidery_reply`.
 */
export function posixTables({ nouns, commands }: CompletionTree): string {
  const verbs = nouns.flatMap(({ names, verbs: own }) =>
    own === undefined ? [] : [`    ${pattern(names)}) _cidery_reply='${own.map((verb) => verb.names[0] ?? '').join(' ')}' ;;`],
  )
  const options = commands.map(
    (command) => `    ${pattern(command.paths)}) _cidery_reply='${command.options.flatMap(({ names }) => names).join(' ')}' ;;`,
  )
  const values = commands.flatMap((command) =>
    command.options
      .filter((option) => option.takesValue)
      .map((option) => {
        const patterns = command.paths.flatMap((path) => option.names.map((name) => `${path} ${name}`))
        return `    ${pattern(patterns)}) _cidery_reply='value ${kindText(option.completes)}' ;;`
      }),
  )
  const words = commands.flatMap((command) =>
    command.arguments.map((argument, index) => {
      const patterns = command.paths.map((path) => (argument.many ? `'${path} '*` : `'${path} ${index}'`))
      return `    ${patterns.join('|')}) _cidery_reply='${kindText(argument.completes)}' ;;`
    }),
  )
  return [
    table('_cidery_verbs', 'verbs of a noun', verbs),
    table('_cidery_options', 'options of a command', options),
    table('_cidery_value', 'what completes the value of an option: "value KIND"; empty when it takes none', values),
    table('_cidery_argument', 'what completes the argument number N of a command', words),
  ].join('\n')
}

function pattern(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join('|')
}

function table(name: string, about: string, lines: readonly string[]): string {
  return `# ${about}\n${name}() {\n  _cidery_reply=''\n  case "$1" in\n${lines.join('\n')}\n  esac\n}\n`
}

/** Walks the words before the cursor: sets `_cidery_path` (noun and verb), `_cidery_count` (arguments so far) and `_cidery_rest` (after `--`). */
export const posixWalk = `# Walks the words before the cursor.
_cidery_walk() {
  _cidery_path='' _cidery_count=0 _cidery_rest='' _cidery_pending=''
  local word noun=''
  for word in "$@"; do
    if [ -n "$_cidery_pending" ]; then _cidery_pending=''; continue; fi
    case "$word" in
      --) _cidery_rest=1; return ;;
      --*=*) ;;
      -*)
        _cidery_value "$_cidery_path $word"
        if [ -z "$_cidery_reply" ]; then
          case "$word" in --url|--output|-o) _cidery_reply='value' ;; esac
        fi
        if [ -n "$_cidery_reply" ]; then _cidery_pending=$word; fi
        ;;
      *)
        if [ -z "$noun" ]; then
          noun=$word
          _cidery_path=$word
          _cidery_verbs "$noun"
        elif [ "$_cidery_path" = "$noun" ] && { _cidery_verbs "$noun"; [ -n "$_cidery_reply" ]; }; then
          _cidery_path="$noun $word"
        else
          _cidery_count=$((_cidery_count + 1))
        fi
        ;;
    esac
  done
}
`
